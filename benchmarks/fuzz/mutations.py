"""Makes malformed and unusual input from valid input with a seeded random generator."""

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "compute_horde" / "protocol" / "golden"
LARGEST_TEXT = 2**20
MAX_DEPTH = 20_000

# Values that have broken parsers, databases and terminals elsewhere.
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    10**400,
    1e308,
    -0.0,
    "",
    " ",
    "\0",
    "\ud800",
    "\u202e\u2066",
    "\x1b[2J\x1b]0;x\a",
    "../../etc/passwd",
    "http://169.254.169.254/latest/meta-data/",
    "NaN",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00Z",
    [],
    {},
    [[]],
    {"": ""},
)


def golden_messages() -> dict[str, dict[str, Any]]:
    """One valid message of every kind, by class name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}


class Mutator:
    """Changes messages and bytes; the same seed gives the same changes."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._messages = list(golden_messages().values())

    def frame(self, *, job_uuid: str | None = None) -> str | bytes:
        """A websocket frame: a valid message, a mutated one, or random data."""
        message = json.loads(json.dumps(self.random.choice(self._messages)))
        if "job_uuid" in message:
            message["job_uuid"] = job_uuid or str(uuid4())
        kind = self.random.random()
        if kind < 0.15:
            return json.dumps(message)
        if kind < 0.75:
            return self._encoded(self.changed(message))
        if kind < 0.9:
            return self.bytes_changed(json.dumps(message).encode())
        return self.monstrous()

    def changed(self, value: Any, *, times: int | None = None) -> Any:
        """`value` with one or several parts replaced, added or removed; modified in place."""
        for _ in range(times or self.random.choice((1, 1, 1, 2, 5))):
            parts = list(_containers(value))
            if not parts:
                return self.value()
            self._change(self.random.choice(parts))
        return value

    def value(self) -> Any:
        """One of `VALUES`, or a long or deeply nested value."""
        if self.random.random() < 0.9:
            # A copy, because it may be modified or nested into itself later.
            return copy.deepcopy(self.random.choice(VALUES))
        make: Callable[[], Any] = self.random.choice(
            (
                lambda: "x" * self.random.randrange(LARGEST_TEXT),
                lambda: [0] * self.random.randrange(LARGEST_TEXT // 8),
                lambda: {str(n): n for n in range(self.random.randrange(50_000))},
                lambda: _nested(self.random.randrange(1, 200)),
            )
        )
        return make()

    def bytes_changed(self, data: bytes) -> bytes:
        """`data` with bits flipped and pieces removed, repeated or inserted."""
        changed = bytearray(data)
        for _ in range(self.random.choice((1, 2, 8))):
            at = self.random.randrange(len(changed) + 1)
            length = self.random.choice((1, 2, 8, 64))
            match self.random.randrange(4):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << self.random.randrange(8)
                case 1:
                    del changed[at : at + length]
                case 2:
                    changed[at:at] = changed[at : at + length]
                case _:
                    changed[at:at] = self.random.randbytes(length)
        return bytes(changed)

    def monstrous(self) -> str | bytes:
        """A frame that is large, deeply nested, or not text."""
        size = self.random.choice((2**10, 2**16, 2**20, 2**22))
        return self.random.choice(
            (
                lambda: '{"message_type":' + "[" * min(size, MAX_DEPTH),
                lambda: "[" + "0," * (size // 2) + "0]",
                lambda: '{"message_type":"' + "x" * size + '"}',
                lambda: "{" + ",".join(f'"{n}":0' for n in range(size // 16)) + "}",
                lambda: '{"a":"' + "\\u0000" * (size // 6) + '"}',
                lambda: self.random.randbytes(size),
                lambda: "1" * min(size, 2**16),
            )
        )()

    def _change(self, part: Any) -> None:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        key = self.random.choice(keys) if keys else None
        match self.random.randrange(5):
            case 0 if key is not None:
                del part[key]
            case 1 if isinstance(part, dict):
                part[str(self.random.choice(VALUES))] = self.value()
            case 2 if isinstance(part, list):
                part.append(self.value())
            case _ if key is not None:
                part[key] = self.value()

    @staticmethod
    def _encoded(value: Any) -> str:
        # Lone surrogates become escapes, as on the wire.
        return json.dumps(value)


def _containers(value: Any) -> list[Any]:
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            found.append(one)
            waiting.extend(one.values() if isinstance(one, dict) else one)
        if len(found) > 1000:
            break
    return found


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value
