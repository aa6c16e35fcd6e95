"""Counts the disk space of an unpacked tar archive while it streams by, without storing it.

Headers are read as Go's archive/tar does, which container engines unpack with: a difference could
hide a file from the count. Ambiguous headers are refused.
"""

from collections.abc import Iterator

from executor.images.errors import ImageError

BLOCK = 512
# Bytes that a file system takes for any entry, and the granularity of its content.
ENTRY_BYTES = 512
STEP = 4096
MAX_EXTENDED_BYTES = 2**20
CHECKSUM = slice(148, 156)
SIZE = slice(124, 136)
NAME = slice(0, 100)
TYPE = 156
REGULAR = frozenset(b"07")
OLD_REGULAR = 0
# Go ignores the size in headers of these types.
WITHOUT_CONTENT = frozenset(b"123456")
DIRECTORY = ord("5")
PAX = ord("x")
META = frozenset(b"xgLK")
OLD_SPARSE = ord("S")
SIZE_KEY = b"size"
SPARSE_SIZES = frozenset({b"GNU.sparse.realsize", b"GNU.sparse.size"})
EMPTY = bytes(BLOCK)
END_BLOCKS = 2
LONGEST_NUMBER = 18


class TarUsage:
    """Counts the disk and the entries of one archive."""

    def __init__(self) -> None:
        self.bytes = 0
        self.entries = 0
        self._header = bytearray()
        self._skip = 0
        self._wanted: bytearray | None = None
        self._wanted_bytes = 0
        self._kind = 0
        self._size: int | None = None
        self._real_size = 0
        self._zeros = 0
        self._extended = False

    def feed(self, data: bytes) -> None:
        """Count the next bytes; raises `ImageError` for an archive that engines cannot unpack."""
        view = memoryview(data)
        while view:
            if self._zeros == END_BLOCKS:
                # Engines store what follows the end, to be able to restore the archive.
                self.bytes += len(view)
                return
            if self._wanted is not None and len(self._wanted) < self._wanted_bytes:
                taken = view[: self._wanted_bytes - len(self._wanted)]
                self._wanted += taken
                if len(self._wanted) == self._wanted_bytes:
                    self._extend(bytes(self._wanted))
            elif self._skip:
                taken = view[: self._skip]
                self._skip -= len(taken)
            else:
                taken = view[: BLOCK - len(self._header)]
                self._header += taken
                if len(self._header) == BLOCK:
                    self._read_header(bytes(self._header))
                    self._header.clear()
            view = view[len(taken) :]

    def _read_header(self, header: bytes) -> None:
        if header == EMPTY:
            self._zeros += 1
            return
        if self._zeros:
            raise ImageError("one of its layers is no archive: data follows its end")
        if not is_header(header):
            raise ImageError("one of its layers is no tar archive")
        self._kind, size = header[TYPE], _number(header[SIZE])
        if self._kind in META:
            self._begin_extended(size)
            return
        size = size if self._size is None else self._size
        if self._kind == OLD_SPARSE:
            raise ImageError("one of its layers holds sparse files in an old format")
        if self._kind == OLD_REGULAR and size:
            self._check_old(header)
        if self._kind in WITHOUT_CONTENT:
            size = 0
        self._count(size)
        self._skip = _padded(size)
        self._size, self._real_size, self._extended = None, 0, False

    def _check_old(self, header: bytes) -> None:
        """Refuse a file of the oldest format whose name ends with a slash: it is a folder."""
        if self._extended or header[NAME].split(b"\0")[0].endswith(b"/"):
            raise ImageError("one of its layers holds a folder with content")

    def _count(self, size: int) -> None:
        self.entries += 1
        content = max(size, self._real_size)
        if self._kind == DIRECTORY:
            content = STEP
        self.bytes += ENTRY_BYTES + -(-content // STEP) * STEP

    def _begin_extended(self, size: int) -> None:
        """Begin an extended header: the content of this entry describes the next one."""
        if size > MAX_EXTENDED_BYTES:
            raise ImageError("one of its layers has a header that is too long")
        self.entries += 1
        self.bytes += BLOCK + size
        self._wanted_bytes = size
        self._wanted = bytearray()
        self._skip = _padded(size) - size
        if not size:
            self._extend(b"")

    def _extend(self, records: bytes) -> None:
        self._wanted = None
        self._extended = True
        if self._kind != PAX:
            return
        for key, value in _parse_records(records):
            if key == SIZE_KEY:
                self._size = _decimal(value)
            elif key in SPARSE_SIZES:
                self._real_size = max(self._real_size, _decimal(value))


def is_header(block: bytes) -> bool:
    """Whether an entry of an archive can begin with this block, by its checksum."""
    try:
        return len(block) == BLOCK and _number(block[CHECKSUM]) in _checksums(block)
    except ImageError:
        return False


def _parse_records(records: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The `length key=value\\n` records of an extended header."""
    start = 0
    while start < len(records):
        space = records.find(b" ", start, start + LONGEST_NUMBER + 1)
        end = start + _decimal(records[start:space]) if space > start else 0
        record = records[space + 1 : end]
        key, equals, value = record.partition(b"=")
        if not equals or not record.endswith(b"\n") or end > len(records):
            raise ImageError("one of its layers has a header that cannot be read")
        yield key, value[:-1]
        start = end


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > LONGEST_NUMBER:
        raise ImageError("one of its layers has a header that cannot be read")
    return int(text)


def _number(field: bytes) -> int:
    """The number in a header field: octal, or binary if its first bit is set; not negative."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise ImageError("one of its layers has a negative size")
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    else:
        digits = field.strip(b" \0").split(b"\0")[0]
        if digits.strip(b"01234567"):
            raise ImageError("one of its layers is no tar archive")
        value = int(digits or b"0", 8)
    if value >= 2**62:
        raise ImageError("one of its layers has an invalid size")
    return value


def _checksums(header: bytes) -> tuple[int, int]:
    """The checksum over unsigned bytes and, as some old programs write, over signed bytes."""
    blanked = header[: CHECKSUM.start] + b" " * 8 + header[CHECKSUM.stop :]
    unsigned = sum(blanked)
    return unsigned, unsigned - 256 * sum(byte > 127 for byte in blanked)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
