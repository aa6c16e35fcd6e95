"""Notes about missing parts of a result, in the job's own output for users of the published SDK.

Our SDK has the same from the fields `left_out` and `truncated`, and removes the notes.
"""

import re
from collections.abc import Sequence

from compute_horde.protocol.left_out import LeftOut

# How many left-out files are named.
NOTED = 20
MORE = "[and more]"
ARTIFACTS_LEFT_OUT = (
    "\n[validator] {} of {} artifacts were left out: with them the result is larger than the"
    " facilitator takes. Ask for an output upload instead.\n"
)
OUTPUT_TRUNCATED = "\n[validator] The output was cut: it is larger than the facilitator takes.\n"
_ARTIFACTS_LEFT_OUT = re.compile(re.escape(ARTIFACTS_LEFT_OUT).replace(r"\{\}", r"\d+") + r"\Z")


def of_left_out(left_out: Sequence[LeftOut]) -> str:
    """The executor's note at the end of stderr; empty when nothing is left out."""
    lines = [f"[left out: {ascii(str(one))[1:-1]}]" for one in left_out[:NOTED]]
    if len(left_out) > NOTED:
        lines.append(MORE)
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def without_notes(stderr: str, left_out: Sequence[LeftOut]) -> str:
    """A job's stderr without the notes about `left_out` that executor and validator appended.

    `left_out` may have more entries than the executor's note: the validator appends its own.
    """
    if not left_out:
        return stderr
    stderr = _ARTIFACTS_LEFT_OUT.sub("", stderr)
    for length in range(min(len(left_out), NOTED + 1), 0, -1):
        note = of_left_out(left_out[:length])
        if stderr.endswith(note):
            return stderr.removesuffix(note)
    return stderr
