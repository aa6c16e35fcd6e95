"""Truncated output is replaced by a log only if the log matches it."""

import pytest

from compute_horde_sdk import full_output
from compute_horde_sdk.errors import LogsUnavailable
from compute_horde_sdk.facilitator.job_logs import LogPiece
from compute_horde_sdk.full_output import complete
from compute_horde_sdk.job_result import ComputeHordeJobResult

WHOLE = "".join(f"{number:09}\n" for number in range(120_000))
SHOWN = WHOLE[:500_000] + " ... " + WHOLE[-500_000:]


async def read(*pieces, fails=False):
    for piece in pieces:
        yield piece
    if fails:
        raise LogsUnavailable("no log")


async def completed(*pieces, stdout=SHOWN, fails=False):
    result = ComputeHordeJobResult(stdout, "err", {}, truncated={"stdout": len(WHOLE)})
    await complete(result, read(*pieces, fails=fails))
    return result


def piece(text, stream="stdout", is_gap=False):
    return LogPiece(stream, text, 0, is_gap)


@pytest.mark.parametrize("note", ["", "\n[left out: x]\n"])
async def test_a_whole_log_takes_the_place_of_both_ends(note):
    parts = (piece(WHOLE[:700_000]), piece("e", "stderr"), piece(WHOLE[700_000:]))
    result = await completed(*parts, stdout=SHOWN + note)
    assert result.stdout == WHOLE + note
    assert (result.stderr, result.truncated) == ("err", {})


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [piece(WHOLE[:-1])],
        [piece("x" + WHOLE)],
        [piece(WHOLE, "stderr")],
        [piece(WHOLE), piece("[lost]", is_gap=True)],
    ],
)
async def test_a_log_that_lacks_something_changes_nothing(pieces):
    result = await completed(*pieces)
    assert (result.stdout, result.truncated) == (SHOWN, {"stdout": len(WHOLE)})


async def test_a_log_that_cannot_be_read_to_its_end_changes_nothing():
    result = await completed(piece(WHOLE), fails=True)
    assert (result.stdout, result.truncated) == (SHOWN, {"stdout": len(WHOLE)})


async def test_a_log_over_our_memory_is_not_kept(monkeypatch):
    monkeypatch.setattr(full_output, "MAX_CHARACTERS", len(WHOLE) - 1)
    assert (await completed(piece(WHOLE))).stdout == SHOWN


async def test_a_log_of_output_that_is_no_text_does_not_stand_for_it():
    mangled = WHOLE[:600_000] + "\N{REPLACEMENT CHARACTER}" + WHOLE[600_001:]
    result = await completed(piece(mangled))
    assert (result.stdout, result.truncated) == (SHOWN, {"stdout": len(WHOLE)})
    assert result.not_text == ["stdout"]


async def test_a_log_of_text_with_replacement_characters_of_its_own_is_the_output():
    text = WHOLE[:600_000] + "\N{REPLACEMENT CHARACTER}" + WHOLE[600_001:]
    result = ComputeHordeJobResult(SHOWN, "", {}, truncated={"stdout": len(text.encode())})
    await complete(result, read(piece(text)))
    assert (result.stdout, result.truncated, result.not_text) == (text, {}, [])
