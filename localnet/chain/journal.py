"""The chain on disk: a file of blocks, one line each, only ever added to.

A block is written with one `write` before anyone hears of it, so a process that is killed
loses no block that was announced; a line cut short is dropped at the next start. Now and then
the oldest blocks are folded into a snapshot, in a new file that replaces the old at once.
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
OLDEST = "snapshot"


@dataclass(frozen=True, slots=True)
class Block:
    """One block and what it changed."""

    number: int
    hash: bytes
    parent: bytes
    milliseconds: int
    extrinsics: tuple[bytes, ...]
    extrinsics_root: bytes
    state_root: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of storage at one block, with the hashes of every block up to it."""

    block: Block
    hashes: tuple[bytes, ...]
    values: Changes


Entry = tuple[Block, Changes] | Snapshot


class Journal:
    """An open, locked state file. Without a path nothing is kept."""

    def __init__(self, path: Path | None, genesis_hash: bytes, netuid: int) -> None:
        self._path = path
        self._heading = {"format": FORMAT, "genesis": genesis_hash.hex(), "netuid": netuid}
        self._file: int | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open_locked(path)

    def entries(self) -> Iterator[Entry]:
        """What an earlier process wrote, oldest first. Reading ends where a line is cut short."""
        if self._path is None:
            return
        whole = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines):
                if not line.endswith(b"\n"):
                    break
                record = self._parsed(line, number)
                whole += len(line)
                if number == 0:
                    self._check_heading(record)
                else:
                    yield _snapshot(record) if OLDEST in record else _block(record)
        os.truncate(self._path, whole)
        if whole == 0:
            self._write(self._heading)

    def append(self, block: Block, changes: Changes) -> None:
        """Write one block."""
        self._write(_block_record(block) | {"changes": _texts(changes)})

    def replace(self, snapshot: Snapshot, blocks: list[tuple[Block, Changes]]) -> None:
        """Begin a new file with a snapshot and the blocks since, in place of the present one."""
        if self._path is None:
            return
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.unlink(missing_ok=True)
        previous, self._file = self._file, _open_locked(fresh)
        try:
            self._write(self._heading)
            self._write(_snapshot_record(snapshot))
            for block, changes in blocks:
                self.append(block, changes)
            os.fsync(self._file)
            fresh.replace(self._path)
        finally:
            if previous is not None:
                os.close(previous)

    def close(self) -> None:
        """Make sure that everything is on the disk, and let the file go."""
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
            # Going on would leave a hole in the file: no more blocks than are on disk.
            raise SystemExit(f"the chain's state could not be written: {exc}") from exc

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError) as exc:
            raise ConfigurationError(
                f"line {number + 1} of the chain's state file {self._path} cannot be read; "
                "move the file away to begin a new chain"
            ) from exc

    def _check_heading(self, record: dict[str, Any]) -> None:
        if record != self._heading:
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


def _bare_block(record: dict[str, Any]) -> Block:
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
    return _bare_block(record), _changes(record["changes"])


def _snapshot(record: dict[str, Any]) -> Snapshot:
    hashes = bytes.fromhex(record["hashes"])
    return Snapshot(
        _bare_block(record[OLDEST]),
        tuple(hashes[start : start + 32] for start in range(0, len(hashes), 32)),
        _changes(record["values"]),
    )


def _snapshot_record(snapshot: Snapshot) -> dict[str, Any]:
    return {
        OLDEST: _block_record(snapshot.block),
        "hashes": b"".join(snapshot.hashes).hex(),
        "values": _texts(snapshot.values),
    }


def _texts(changes: Changes) -> dict[str, str | None]:
    return {key.hex(): None if value is None else value.hex() for key, value in changes.items()}


def _changes(texts: dict[str, str | None]) -> Changes:
    return {
        bytes.fromhex(key): None if value is None else bytes.fromhex(value)
        for key, value in texts.items()
    }
