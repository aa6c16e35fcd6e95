"""The disk space of an unpacked archive, also with misleading headers."""

import io
import subprocess
import tarfile

import pytest

from executor.images.errors import ImageError
from executor.images.tar_usage import BLOCK, ENTRY_BYTES, STEP, TarUsage


def archive(*entries, format=tarfile.PAX_FORMAT):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format) as tar:
        for entry in entries:
            tar.addfile(entry, io.BytesIO(bytes(entry.size)) if entry.isreg() else None)
    return packed.getvalue()


def entry(name="file", size=0, **more):
    made = tarfile.TarInfo(name)
    made.size = size
    for key, value in more.items():
        setattr(made, key, value)
    return made


def used(data, step=None):
    count = TarUsage()
    for start in range(0, len(data), step or len(data)):
        count.feed(data[start : start + (step or len(data))])
    return count.bytes, count.entries


@pytest.mark.parametrize("step", [7, 512, 1000, None])
@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_files_take_whole_steps_and_every_entry_something(step, format):
    data = archive(
        entry("a", 10_000), entry("b"), entry("c", type=tarfile.DIRTYPE),
        entry("d", type=tarfile.SYMTYPE, linkname="a"), format=format,
    )  # fmt: skip
    after_the_end = len(data.rstrip(b"\0"))
    padding = len(data) - (5 + 20 + 2) * BLOCK + BLOCK
    assert after_the_end < len(data)
    total, entries = used(data, step)
    assert entries == 4
    assert total - padding == 3 * STEP + STEP + 4 * ENTRY_BYTES


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_long_name_hides_no_file(format):
    data = archive(entry("x" * 300, 9 * STEP), entry("next", STEP), format=format)
    assert 10 * STEP < used(data)[0] < 14 * STEP


def test_a_size_in_an_extended_header_is_the_size():
    made = entry(size=0, pax_headers={"size": str(8 * STEP)})
    data = archive(made) [: -BLOCK * 2]  # fmt: skip
    assert used(data)[0] >= 8 * STEP


def test_the_holes_of_a_sparse_file_are_counted_as_engines_fill_them():
    made = entry(size=BLOCK, pax_headers={"GNU.sparse.realsize": str(10**12)})
    assert used(archive(made))[0] > 10**12


def sparse(tmp_path, kind):
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(10**9)
    return subprocess.run(
        ["tar", "-c", "--sparse", f"--format={kind}", "-C", tmp_path, "hole"],
        capture_output=True,
        check=True,
    ).stdout


def test_the_sparse_files_of_gnu_tar_are_counted_or_refused(tmp_path):
    assert used(sparse(tmp_path, "pax"))[0] > 10**9
    with pytest.raises(ImageError, match="sparse"):
        used(sparse(tmp_path, "gnu"))


def test_what_follows_the_end_is_counted():
    assert used(archive() + bytes(10**6))[0] > 10**6


def test_endless_extended_headers_are_counted():
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, BLOCK
    block = header.tobuf(tarfile.USTAR_FORMAT) + b"512 a=" + b"b" * (BLOCK - 7) + b"\n"
    total, entries = used(block * 100)
    assert total == 100 * 2 * BLOCK
    assert entries == 100


@pytest.mark.parametrize(
    "data",
    [
        b"x" * BLOCK,
        archive(entry(size=10))[:-1].replace(b"ustar", b"usxxx"),
        bytes(BLOCK) + archive(entry()),
        archive(entry("folder/", 10, type=tarfile.AREGTYPE)),
    ],
)
def test_what_cannot_be_read_with_certainty_is_refused(data):
    with pytest.raises(ImageError, match="one of its layers"):
        used(data)


@pytest.mark.parametrize("records", [b"size=5", b"9999 size=5\n", b"7 a=b\n", b"-1 a=b\n", b" =\n"])
def test_extended_headers_that_cannot_be_read_are_refused(records):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    with pytest.raises(ImageError, match="header"):
        used(header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(BLOCK, b"\0"))
