"""A layer's unpacked size is counted as an engine unpacks it."""

import bz2
import contextlib
import gzip
import hashlib
import io
import struct
import tarfile
import zlib

import pytest
from backports import zstd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from executor.images.errors import ImageError, RegistryUnavailableError
from executor.images.manifests import Blob
from executor.images.unpacked_size import ImageQuota, LayerCount

MIB = 2**20


def tar(size=MIB, name="file"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as root:
        made = tarfile.TarInfo(name)
        made.size = size
        root.addfile(made, io.BytesIO(bytes(size)))
    return packed.getvalue()


def counted(data, *, limit=10**12, step=1000, blob=None):
    quota = ImageQuota(limit)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    count = LayerCount(blob or Blob(digest, len(data)), quota)
    for start in range(0, len(data), step):
        count.feed(data[start : start + step])
    count.finish()
    return quota.used


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, zstd.compress])
@pytest.mark.parametrize("step", [5, 2**18])
def test_it_is_counted_however_it_is_compressed(pack, step):
    data = pack(tar())
    assert MIB < counted(data, step=max(step, len(data) // 1000)) < MIB + 20_000


def test_members_of_gzip_follow_each_other_and_zeros_may_follow_them():
    halves = tar()[: MIB // 2], tar()[MIB // 2 :]
    data = b"".join(map(gzip.compress, halves)) + bytes(100)
    for step in (1, 7, 10**6):
        assert counted(data, step=step) > MIB


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_bomb_is_refused_before_it_is_all_read(pack):
    data = pack(tar(60 * MIB))
    assert len(data) < MIB
    with pytest.raises(ImageError, match=f"larger than {MIB} bytes"):
        counted(data[: len(data) // 2], limit=MIB)


def test_a_bomb_in_one_piece_takes_no_memory():
    import tracemalloc

    data = gzip.compress(tar(50 * MIB))
    tracemalloc.start()
    try:
        counted(data, step=len(data))
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [
        bz2.compress(tar()),
        b"\x50\x2a\x4d\x18\0\0\0\0" + zstd.compress(tar()),
        gzip.compress(tar()) + b"garbage",
        gzip.compress(tar())[:100] + b"\xff" * 1000,
        zlib.compress(tar()),
    ],
)
def test_what_may_be_unpacked_otherwise_than_it_is_counted_is_refused(data):
    with pytest.raises(ImageError, match="one of its layers"):
        counted(data)


HIDDEN = zstd.compress(tar(2 * MIB))


def engine_sees(first):
    """The format that the most capable engine detects from a layer's first bytes."""
    for kind, magic in (
        ("bzip2", b"BZh"),
        ("gzip", b"\x1f\x8b\x08"),
        ("xz", b"\xfd7zXZ\0"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
    ):
        if first.startswith(magic):
            return kind
    [number] = struct.unpack("<I", first[:4])
    return "zstd" if 0x184D2A50 <= number <= 0x184D2A5F else "tar"


def header_that_begins(prefix):
    """A correct tar header of an entry with this name."""
    made = bytearray(tarfile.TarInfo("x" * 50).tobuf())
    made[: len(prefix)] = prefix
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


@st.composite
def beginnings(draw):
    """The magic bytes of a format, maybe with a changed bit, or random bytes."""
    magics = [b"BZh9", b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"]
    magics += [struct.pack("<II", 0x184D2A50 + kind, 504) for kind in range(16)]
    magics += [b"\x04\x22\x4d\x18", b"\0" * 8]
    begins = bytearray(draw(st.one_of(st.sampled_from(magics), st.binary(min_size=4, max_size=8))))
    if draw(st.booleans()):
        begins[draw(st.integers(0, len(begins) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(begins)


@settings(deadline=None)
@given(beginnings())
@example(struct.pack("<II", 0x184D2A51, 504))
def test_no_archive_is_counted_that_an_engine_may_take_for_a_compressed_one(begins):
    archive = header_that_begins(begins) + bytes(1024)
    for data in (archive, archive[:512] + HIDDEN, archive + HIDDEN):
        try:
            used = counted(data)
        except ImageError:
            continue
        assert engine_sees(data) == "tar", used


@pytest.mark.parametrize("kind", range(16))
def test_no_frame_that_is_skipped_hides_what_follows_it(kind):
    frame = struct.pack("<II", 0x184D2A50 + kind, 504)
    for data in (header_that_begins(frame) + HIDDEN, frame + bytes(504) + HIDDEN):
        with pytest.raises(ImageError, match="compressed in a way"):
            counted(data)


@pytest.mark.parametrize("kind", range(16))
def test_a_frame_that_is_skipped_inside_hides_nothing_either(kind):
    frame = struct.pack("<II", 0x184D2A50 + kind, 504) + bytes(504)
    data = zstd.compress(tar()[:512]) + frame + zstd.compress(tar()[512:])
    with contextlib.suppress(ImageError):
        assert counted(data) > MIB


def test_an_engine_that_does_not_know_a_compression_sees_no_other_archive():
    packed = gzip.compress(tar())
    # All else of the header is what gzip calls an extra field.
    both = header_that_begins(packed[:3] + b"\4" + packed[4:10] + struct.pack("<H", 500))
    assert gzip.decompress(both + packed[10:]) == tar()
    for data in (both + packed[10:], header_that_begins(b"\x28\xb5\x2f\xfd")):
        with pytest.raises(ImageError, match="as a tar archive and as a compressed one"):
            counted(data)


def test_other_bytes_than_the_digest_stands_for_are_the_registry_s():
    data = gzip.compress(tar())
    with pytest.raises(RegistryUnavailableError, match="other bytes"):
        counted(data, blob=Blob("sha256:" + "0" * 64, len(data)))
