"""An untrusted archive stays inside its folder and its limits."""

import contextlib
import io
import os
import stat
import struct
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.errors import JobError
from executor.transfer import archives
from executor.transfer.archives import BadArchiveError, UnpackQuota
from tests.executor.conftest import zipped


def unpacked(data, target, limit=10**6):
    for _ in archives.unpack(io.BytesIO(data), target, UnpackQuota(limit)):
        pass


def entry(name, *, mode=stat.S_IFREG | 0o644, data=b"x"):
    packed = io.BytesIO()
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(info, data)
    return packed.getvalue()


def test_files_and_folders_come_out_open_to_the_job(tmp_path):
    unpacked(zipped(("a.txt", b"one"), ("deep/er/b", b"two"), ("empty/", b"")), tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == b"one"
    assert (tmp_path / "deep/er/b").read_bytes() == b"two"
    assert (tmp_path / "empty").is_dir()
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o777


@pytest.mark.parametrize(
    ("mode", "system", "expected"),
    [
        (stat.S_IFREG | 0o644, 3, 0o666),
        (stat.S_IFREG | 0o600, 3, 0o666),
        (0o644, 3, 0o666),
        (stat.S_IFREG | 0o755, 3, 0o777),
        (0o100, 3, 0o777),
        (0, 3, 0o777),
        (0o600, 3, 0o777),
        (stat.S_IFREG | 0o644, 0, 0o777),
    ],
)
def test_a_file_is_a_program_if_its_archive_says_so_or_says_nothing(
    tmp_path, mode, system, expected
):
    packed = io.BytesIO()
    info = zipfile.ZipInfo("a")
    info.create_system, info.external_attr = system, mode << 16
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(info, b"x")
    unpacked(packed.getvalue(), tmp_path)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == expected


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a//b", "./x", "a\\..\\x", "."])
def test_a_name_that_leads_outside_is_refused(tmp_path, name):
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(BadArchiveError):
        unpacked(entry(name), inside)
    assert list(tmp_path.rglob("x")) == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK])
def test_links_and_devices_are_refused(tmp_path, kind):
    with pytest.raises(BadArchiveError, match="link or a device"):
        unpacked(entry("x", mode=kind | 0o777, data=b"/etc/passwd"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bomb_is_stopped_while_it_unfolds(tmp_path):
    bomb = zipped(("zeros", bytes(50 * 2**20)))
    assert len(bomb) < 100_000
    with pytest.raises(BadArchiveError, match="more than 3000000 bytes"):
        unpacked(bomb, tmp_path, limit=3_000_000)
    assert (tmp_path / "zeros").stat().st_size < 4_000_000


def test_a_lie_about_the_size_gains_nothing(tmp_path):
    bomb = bytearray(zipped(("zeros", bytes(20 * 2**20))))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = bomb.index(signature) + offset
        bomb[at : at + 4] = struct.pack("<I", 10)
    with pytest.raises(BadArchiveError):
        unpacked(bytes(bomb), tmp_path, limit=1_000_000)


def test_the_allowance_is_for_all_archives_together(tmp_path):
    quota = UnpackQuota(1500)
    data = zipped(("a", bytes(1000)))
    list(archives.unpack(io.BytesIO(data), tmp_path, quota))
    with pytest.raises(BadArchiveError):
        list(archives.unpack(io.BytesIO(data), tmp_path, quota))


@pytest.mark.parametrize("name", ["f{}", "f{}/", "d{}/f"])
def test_too_many_files_and_folders_are_refused(tmp_path, name):
    quota = UnpackQuota(1000, entries=10)
    archive = zipped(*((name.format(n), b"") for n in range(11)))
    with pytest.raises(BadArchiveError, match="more than 10 entries"):
        list(archives.unpack(io.BytesIO(archive), tmp_path, quota))
    assert len(list(tmp_path.rglob("*"))) <= 10


def test_entries_are_counted_over_all_archives(tmp_path):
    quota = UnpackQuota(1000, entries=10)
    for folder in "ab":
        archive = zipped(*((f"{folder}/{n}", b"") for n in range(4)))
        list(archives.unpack(io.BytesIO(archive), tmp_path, quota))
    with pytest.raises(BadArchiveError, match="more than 10 entries"):
        list(archives.unpack(io.BytesIO(zipped(("c", b""))), tmp_path, quota))


def test_a_directory_of_a_million_entries_is_refused_before_it_is_read(tmp_path):
    mark = archives.ENTRY_MARK
    directory = (mark + bytes(42)) * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), 0, 0)
    tracemalloc.start()
    try:
        with pytest.raises(BadArchiveError, match="more than 100000 entries"):
            unpacked(directory + end, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(directory)
    finally:
        tracemalloc.stop()


def test_folders_nested_too_deep_are_refused(tmp_path):
    with pytest.raises(BadArchiveError, match="more than 100 folders"):
        unpacked(zipped(("d/" * 101 + "f", b"")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    sound = bytearray(zipped(("a", b"x" * 100), ("b", b"y" * 100), compression=0))
    second = sound.index(b"PK\x01\x02", sound.index(b"PK\x01\x02") + 4)
    sound[second + 42 : second + 46] = struct.pack("<I", 5)
    with pytest.raises(BadArchiveError, match="overlap"):
        unpacked(bytes(sound), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused(tmp_path):
    with pytest.raises(BadArchiveError, match="'a' twice"):
        unpacked(zipped(("a", b"x"), ("a", b"y")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_that_differ_in_case_are_two_names(tmp_path):
    unpacked(zipped(("A", b"x"), ("a", b"y"), ("b/", b""), ("B", b"z")), tmp_path)
    assert (tmp_path / "A").read_bytes() + (tmp_path / "a").read_bytes() == b"xy"


def test_a_zip_in_a_zip_stays_a_file(tmp_path):
    inner = zipped(("zeros", bytes(2**20)))
    unpacked(zipped(("inner.zip", inner)), tmp_path, limit=10_000)
    assert (tmp_path / "inner.zip").read_bytes() == inner


def test_an_encrypted_archive_is_refused_with_the_remedy(tmp_path):
    data = bytearray(zipped(("a", b"x")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    with pytest.raises(BadArchiveError, match="without a password"):
        unpacked(bytes(data), tmp_path)


def test_a_directory_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_DIRECTORY_BYTES", 70_000)
    with pytest.raises(BadArchiveError, match="too long a directory"):
        unpacked(zipped(*((f"{n:0200}", b"") for n in range(400))), tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_compression_that_eats_memory_is_refused(tmp_path, method):
    with pytest.raises(BadArchiveError, match="compression"):
        unpacked(zipped(("a", b"x"), compression=method), tmp_path)


def test_one_name_as_file_and_folder_is_refused(tmp_path):
    with pytest.raises(BadArchiveError, match="both as file and folder"):
        unpacked(zipped(("a", b"x"), ("a/b", b"y")), tmp_path)
    with pytest.raises(BadArchiveError, match="both as file and folder"):
        unpacked(zipped(("c/b", b"y"), ("c", b"x")), tmp_path)


def test_a_broken_checksum_is_noticed(tmp_path):
    data = bytearray(zipped(("a", b"sound"), compression=0))
    at = data.index(b"sound")
    data[at] ^= 1
    with pytest.raises(BadArchiveError, match="not a sound zip"):
        unpacked(bytes(data), tmp_path)


@given(st.binary(max_size=300), st.integers(0, 400), st.binary(max_size=8))
def test_no_bytes_raise_anything_else(tmp_path_factory, noise, at, patch):
    sound = bytearray(zipped(("a", b"abc" * 50), ("b/c", b"d")))
    sound[at : at + len(patch)] = patch
    for data in (noise, bytes(sound)):
        root = tmp_path_factory.mktemp("fuzz")
        (root / "target").mkdir()
        with contextlib.suppress(BadArchiveError):
            unpacked(data, root / "target")
        assert [path.name for path in root.iterdir()] == ["target"]


def packed(root, *, without=frozenset(), limit=10**6):
    made = io.BytesIO()
    for _ in archives.pack(root, made, without=without, limit=limit):
        pass
    with zipfile.ZipFile(made) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_only_plain_files_are_packed_and_links_are_not_followed(tmp_path):
    root = tmp_path / "output"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_bytes(b"one")
    (root / "sub/b").write_bytes(b"two")
    (root / "skipped").write_bytes(b"three")
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    assert packed(root, without=frozenset({"skipped"})) == {"a": b"one", "sub/b": b"two"}


def test_an_output_over_a_limit_is_the_job_s_fault(tmp_path):
    (tmp_path / "big").write_bytes(bytes(2000))
    with pytest.raises(JobError, match="more than 1000 bytes"):
        packed(tmp_path, limit=1000)
    for number in range(1001):
        (tmp_path / f"f{number}").touch()
    with pytest.raises(JobError, match="more than 1000 files"):
        packed(tmp_path)


def test_an_output_that_is_nested_too_deep_is_the_job_s_fault(tmp_path):
    (tmp_path / "/".join(["d"] * 101)).mkdir(parents=True)
    with pytest.raises(JobError, match="nested deeper"):
        packed(tmp_path)
