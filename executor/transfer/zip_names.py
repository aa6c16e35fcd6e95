"""Decodes the names of a zip's entries, whatever encoding their writer used; pure."""

import struct
import zipfile
import zlib

UTF8_FLAG = 0x800
ENTRY = struct.Struct("<4s4xH18x3H12x")
ENTRY_MARK = b"PK\x01\x02"
FLAGS_AT = 8
LOCAL_MARK = b"PK\x03\x04"
LOCAL_FLAGS_AT = 6
# The extra field in which old programs put the name in UTF-8 (APPNOTE 4.6.9).
UNICODE_PATH = 0x7075
UNICODE_PATH_HEAD = struct.Struct("<BI")
EXTRA = struct.Struct("<HH")


def without_false_flags(directory: bytes) -> bytes:
    """A zip's directory with the UTF-8 flag cleared from names that are not UTF-8.

    Other bytes are returned unchanged.
    """
    if not directory.startswith(ENTRY_MARK):
        return directory
    changed: bytearray | None = None
    at = 0
    while at + ENTRY.size <= len(directory):
        mark, flags, name, extra, comment = ENTRY.unpack_from(directory, at)
        if mark != ENTRY_MARK:
            break
        start = at + ENTRY.size
        if flags & UTF8_FLAG and not _is_utf8(directory[start : start + name]):
            changed = changed or bytearray(directory)
            struct.pack_into("<H", changed, at + FLAGS_AT, flags & ~UTF8_FLAG)
        at = start + name + extra + comment
    return directory if changed is None else bytes(changed)


def without_flag(header: bytes) -> bytes:
    """The local header of an entry with the UTF-8 flag cleared."""
    if len(header) < LOCAL_FLAGS_AT + 2 or not header.startswith(LOCAL_MARK):
        return header
    changed = bytearray(header)
    (flags,) = struct.unpack_from("<H", changed, LOCAL_FLAGS_AT)
    struct.pack_into("<H", changed, LOCAL_FLAGS_AT, flags & ~UTF8_FLAG)
    return bytes(changed)


def name_of(entry: zipfile.ZipInfo) -> str:
    """The name of an entry.

    With the flag it is UTF-8. Without it the standard says cp437, but most writers use UTF-8, which
    other text hardly ever is by accident; some repeat the name in an extra field.
    """
    if entry.flag_bits & UTF8_FLAG:
        return entry.orig_filename
    raw = entry.orig_filename.encode("cp437")
    if unicode_name := _unicode_path(entry.extra, raw):
        return unicode_name
    return raw.decode() if _is_utf8(raw) else entry.orig_filename


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name in the extra field, if its checksum belongs to this name."""
    while len(extra) >= EXTRA.size:
        kind, size = EXTRA.unpack_from(extra)
        data, extra = extra[EXTRA.size : EXTRA.size + size], extra[EXTRA.size + size :]
        if kind != UNICODE_PATH or len(data) <= UNICODE_PATH_HEAD.size:
            continue
        version, checksum = UNICODE_PATH_HEAD.unpack_from(data)
        name = data[UNICODE_PATH_HEAD.size :]
        if version == 1 and checksum == zlib.crc32(raw) and _is_utf8(name):
            return name.decode()
    return None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
