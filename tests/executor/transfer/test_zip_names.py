"""Names in archives are decoded as meant; an odd one does not affect the others."""

import io
import os
import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.transfer import archives, zip_names
from executor.transfer.archives import BadArchiveError, UnpackQuota

UTF8 = zip_names.UTF8_FLAG
ODD = [
    "caf\u00e9",
    "a\u202fb",
    "a\u200db",
    "a\u00a0b",
    "a\u202eb",
    "Icon\r",
    "a\nb",
    "\ufeffa",
    "\x7f",
]


def archive(*entries: tuple[bytes, int, bytes]) -> bytes:
    """A zip of stored entries with these names, flags and extra fields."""
    body, directory = b"", b""
    for name, flags, extra in entries:
        data = b"of " + name
        sizes = struct.pack("<III", zlib.crc32(data), len(data), len(data))
        common = struct.pack("<HHHHH", 20, flags, 0, 0, 33) + sizes
        lengths = struct.pack("<HH", len(name), len(extra))
        place = struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common + lengths + place + name + extra
        body += b"PK\x03\x04" + common + lengths + name + extra + data
    count = len(entries)
    tail = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + tail


def unpacked(data, root):
    for _ in archives.unpack(io.BytesIO(data), root, UnpackQuota(10**7)):
        pass
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def plain(name: bytes):
    return (name, 0, b"")


def again(raw: bytes, name: str, *, of: bytes | None = None):
    """The extra field that repeats a name in UTF-8."""
    data = struct.pack("<BI", 1, zlib.crc32(raw if of is None else of)) + name.encode()
    return (raw, 0, struct.pack("<HH", zip_names.UNICODE_PATH, len(data)) + data)


@pytest.mark.parametrize("name", ["caf\u00e9.txt", "\u4e2d\u6587/\u3042", "\U0001f600", "plain"])
def test_a_name_without_the_flag_that_is_utf_8_is_utf_8(tmp_path, name):
    raw = name.encode()
    assert unpacked(archive(plain(raw), plain(b"other")), tmp_path) == {
        name: b"of " + raw,
        "other": b"of other",
    }


def test_another_name_without_the_flag_is_that_of_the_old_standard(tmp_path):
    assert list(unpacked(archive(plain(b"caf\x82")), tmp_path)) == ["caf\u00e9"]


def test_a_name_that_is_not_the_utf_8_it_is_said_to_be_costs_no_other(tmp_path):
    entries = [(b"caf\x82", UTF8, b""), ("caf\u00e8".encode(), UTF8, b""), plain(b"other")]
    assert unpacked(archive(*entries), tmp_path).keys() == {"caf\u00e9", "caf\u00e8", "other"}


def test_the_name_in_the_extra_field_counts_if_it_belongs_to_this_name(tmp_path):
    good = again(b"caf_", "caf\u00e9")
    stale = again(b"moved", "was", of=b"other")
    assert unpacked(archive(good, stale), tmp_path).keys() == {"caf\u00e9", "moved"}


@pytest.mark.parametrize("bad", ["../x", "/x", "a/../x", "a\\x"])
def test_a_name_that_leads_outside_is_refused_wherever_it_is_said(tmp_path, bad):
    for entry in (plain(bad.encode()), again(b"ok", bad), (bad.encode(), UTF8, b"")):
        with pytest.raises(BadArchiveError):
            unpacked(archive(entry), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_ways_to_write_one_name_are_one_name_twice(tmp_path):
    name = "caf\u00e9".encode()
    with pytest.raises(BadArchiveError, match="twice"):
        unpacked(archive(plain(name), (name, UTF8, b"")), tmp_path)


def test_content_that_looks_like_a_directory_stays_as_it_is(tmp_path):
    inner = archive((b"caf\x82", UTF8, b""))
    content = inner[inner.index(b"PK\x01\x02") :]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as outer:
        outer.writestr("inner", content)
    assert unpacked(packed.getvalue(), tmp_path) == {"inner": content}


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_an_odd_name_that_is_not_dangerous_is_kept_in_and_out(tmp_path, name):
    (tmp_path / "in").mkdir()
    raw = name.encode()
    assert unpacked(archive((raw, UTF8, b"")), tmp_path / "in") == {name: b"of " + raw}
    assert packed(tmp_path / "in") == ({name: b"of " + raw}, [])


def packed(root):
    made, left_out = io.BytesIO(), []
    for _ in archives.pack(
        root, made, without=frozenset(), limit=10**6, leave_out=lambda *one: left_out.append(one)
    ):
        pass
    with zipfile.ZipFile(made) as found:
        return {name: found.read(name) for name in found.namelist()}, left_out


def test_what_a_zip_cannot_hold_is_named_and_costs_nothing_else(tmp_path):
    (tmp_path / os.fsdecode(b"\xff\xfe")).write_bytes(b"abc")
    (tmp_path / "..\\evil").touch()
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "good").write_bytes(b"x")
    files, left_out = packed(tmp_path)
    assert files == {"good": b"x"}
    reasons = {name: (size, why) for name, size, why in left_out}
    assert reasons.keys() == {os.fsdecode(b"\xff\xfe"), "..\\evil", "link"}
    assert reasons[os.fsdecode(b"\xff\xfe")] == (3, "its name is not UTF-8; rename it")
    assert "backslash" in reasons["..\\evil"][1]
    assert "link" in reasons["link"][1]


@given(st.binary(max_size=300), st.binary(max_size=20))
def test_bytes_that_are_no_directory_are_never_lengthened_or_cut(data, more):
    for one in (data, zip_names.ENTRY_MARK + data, archive((data, UTF8, more))):
        assert len(zip_names.without_false_flags(one)) == len(one)
