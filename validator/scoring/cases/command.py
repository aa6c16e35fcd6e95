"""The command `formula`: computes the outputs of a file of cases.

    python -m validator formula                    lists the kinds of cases
    python -m validator formula NAME < cases.json  prints the file with the outputs of each case
    python -m validator formula NAME cases.json    the same

It needs neither settings nor a database: everyone may check the numbers of a validator with it.
"""

import sys
from pathlib import Path
from typing import BinaryIO

from validator.scoring.cases.files import MAX_BYTES, CaseFileError, filled, kinds

BAD_INPUT = 2
USAGE = "usage: python -m validator formula [NAME [FILE]]"


def main(arguments: list[str]) -> int:
    """Run the command; the exit code."""
    if not arguments:
        sys.stdout.write("\n".join([USAGE, *kinds()]) + "\n")
        return 0
    try:
        if len(arguments) > 2:
            raise CaseFileError(USAGE)
        kind, *path = arguments
        sys.stdout.write(filled(kind, _read(path)) + "\n")
    except CaseFileError as exc:
        sys.stderr.write(f"validator formula: {' '.join(str(exc).split())}\n")
        return BAD_INPUT
    return 0


def _read(path: list[str]) -> bytes:
    if not path:
        return _bounded(sys.stdin.buffer)
    try:
        with Path(path[0]).open("rb") as file:
            return _bounded(file)
    except OSError as exc:
        raise CaseFileError(f"cannot read {path[0]}: {exc.strerror}") from None


def _bounded(file: BinaryIO) -> bytes:
    """The file, or one byte more than is allowed of it."""
    return file.read(MAX_BYTES + 1)
