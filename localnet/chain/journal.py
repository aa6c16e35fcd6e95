"""Stores the chain in a file: a header and then one line of JSON for each block, append-only.

A block is written before clients are notified of it, so a killed process loses no announced block;
an incomplete last line is discarded at the next start. From time to time the oldest blocks are
replaced by a snapshot, in a new file that replaces the old one atomically.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute_horde.errors import ConfigurationError
from localnet.chain.state import Changes

FORMAT = 1
SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Block:
    """The header of a block and its extrinsics; `milliseconds` is its time since the epoch."""

    number: int
    hash: bytes
    parent: bytes
    milliseconds: int
    extrinsics: tuple[bytes, ...]
    extrinsics_root: bytes
    state_root: bytes


@dataclass(frozen=True, slots=True)
class ChainSnapshot:
    """The state at one block, and the hashes of all blocks up to it."""

    block: Block
    hashes: tuple[bytes, ...]
    values: Changes


JournalEntry = tuple[Block, Changes] | ChainSnapshot


class Journal:
    """An open and locked state file; without a path nothing is stored.

    Raises `ConfigurationError` when another process has locked the file.
    """

    def __init__(self, path: Path | None, genesis_hash: bytes, netuid: int) -> None:
        self._path = path
        self._header = {"format": FORMAT, "genesis": genesis_hash.hex(), "netuid": netuid}
        self._file: int | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open_locked(path)

    def entries(self) -> Iterator[JournalEntry]:
        """The entries of earlier processes, oldest first; truncates an incomplete last line.

        Raises `ConfigurationError` for a damaged file or one of another chain.
        """
        if self._path is None:
            return
        valid_bytes = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines):
                if not line.endswith(b"\n"):
                    break
                record = self._parsed(line, number)
                valid_bytes += len(line)
                if number == 0:
                    self._check_header(record)
                else:
                    yield _snapshot(record) if SNAPSHOT in record else _block(record)
        os.truncate(self._path, valid_bytes)
        if valid_bytes == 0:
            self._write(self._header)

    def append(self, block: Block, changes: Changes) -> None:
        """Write one block. Raises `SystemExit` when the disk refuses it."""
        self._write(_block_record(block) | {"changes": _to_hex(changes)})

    def replace(self, snapshot: ChainSnapshot, blocks: list[tuple[Block, Changes]]) -> None:
        """Replace the file with one that has a snapshot and the blocks after it."""
        if self._path is None:
            return
        replacement = self._path.with_name(self._path.name + ".new")
        replacement.unlink(missing_ok=True)
        previous, self._file = self._file, _open_locked(replacement)
        try:
            self._write(self._header)
            self._write(_snapshot_record(snapshot))
            for block, changes in blocks:
                self.append(block, changes)
            os.fsync(self._file)
            replacement.replace(self._path)
        finally:
            if previous is not None:
                os.close(previous)

    def close(self) -> None:
        """Flush the file to the disk, close and unlock it."""
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None

    def _write(self, record: dict[str, Any]) -> None:
        if self._file is None:
            return
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as exc:
            # Later blocks would follow a gap in the file.
            raise SystemExit(f"the chain's state could not be written: {exc}") from exc

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError) as exc:
            raise ConfigurationError(
                f"line {number + 1} of the chain's state file {self._path} cannot be read; "
                "move the file away to begin a new chain"
            ) from exc

    def _check_header(self, record: dict[str, Any]) -> None:
        if record != self._header:
            raise ConfigurationError(
                f"the state file {self._path} belongs to another chain (another netuid, another "
                "block time or an older version of this program); use the options it was made "
                "with, or move the file away to begin a new chain"
            )


def _open_locked(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(file)
        raise ConfigurationError(
            f"another process runs the chain in {path}; stop it or choose another --state"
        ) from exc
    return file


def _block_record(block: Block) -> dict[str, Any]:
    return {
        "number": block.number,
        "hash": block.hash.hex(),
        "parent": block.parent.hex(),
        "milliseconds": block.milliseconds,
        "extrinsics": [raw.hex() for raw in block.extrinsics],
        "extrinsics_root": block.extrinsics_root.hex(),
        "state_root": block.state_root.hex(),
    }


def _block_header(record: dict[str, Any]) -> Block:
    return Block(
        number=record["number"],
        hash=bytes.fromhex(record["hash"]),
        parent=bytes.fromhex(record["parent"]),
        milliseconds=record["milliseconds"],
        extrinsics=tuple(bytes.fromhex(raw) for raw in record["extrinsics"]),
        extrinsics_root=bytes.fromhex(record["extrinsics_root"]),
        state_root=bytes.fromhex(record["state_root"]),
    )


def _block(record: dict[str, Any]) -> tuple[Block, Changes]:
    return _block_header(record), _from_hex(record["changes"])


def _snapshot(record: dict[str, Any]) -> ChainSnapshot:
    hashes = bytes.fromhex(record["hashes"])
    return ChainSnapshot(
        _block_header(record[SNAPSHOT]),
        tuple(hashes[start : start + 32] for start in range(0, len(hashes), 32)),
        _from_hex(record["values"]),
    )


def _snapshot_record(snapshot: ChainSnapshot) -> dict[str, Any]:
    return {
        SNAPSHOT: _block_record(snapshot.block),
        "hashes": b"".join(snapshot.hashes).hex(),
        "values": _to_hex(snapshot.values),
    }


def _to_hex(changes: Changes) -> dict[str, str | None]:
    return {key.hex(): None if value is None else value.hex() for key, value in changes.items()}


def _from_hex(encoded: dict[str, str | None]) -> Changes:
    return {
        bytes.fromhex(key): None if value is None else bytes.fromhex(value)
        for key, value in encoded.items()
    }
