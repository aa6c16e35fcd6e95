"""The command `replay`: recomputes the scores of an exported cycle, without any settings.

    python -m validator replay FILE    prints uid, hotkey, share and weight of each miner as JSON

The exit code is 0 when they are those of the file, 1 when not, 2 when the file cannot be used.
"""

import json
import sys
from pathlib import Path

from validator.scores.recording import MAX_BYTES, RecordingError, replay

DIFFERENT = 1
BAD_INPUT = 2
USAGE = "usage: python -m validator replay FILE (of `python -m validator export`; - for stdin)"


def main(arguments: list[str]) -> int:
    """Run the command; the exit code."""
    try:
        if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
            raise RecordingError(USAGE)
        scores, is_same = replay(_read(arguments[0]))
    except RecordingError as exc:
        sys.stderr.write(f"validator replay: {' '.join(str(exc).split())}\n")
        return BAD_INPUT
    shown = [
        {name: miner[name] for name in ("uid", "hotkey", "share", "u16")}
        for miner in scores.as_json()["miners"]
    ]
    sys.stdout.write(json.dumps(shown, indent=1) + "\n")
    if not is_same:
        sys.stderr.write("validator replay: these are not the scores that the file holds\n")
        return DIFFERENT
    return 0


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise RecordingError(f"cannot read {path}: {exc.strerror}") from None
