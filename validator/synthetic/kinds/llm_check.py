"""Compares a miner's answers with trusted ones: exactly, or token by token with tolerance; pure.

The tolerant comparison is in the manner of Token-DiFR: both sides sample with Gumbel noise derived
from the same seed, so they choose the same token unless their logits differ. Where a miner's text
leaves the trusted one, the trusted trace has the margin: by how much the logits, divided by the
temperature, would have to differ for that choice. Another kernel makes differences of a hundredth,
another quantisation or model larger ones, and another seed has nothing to do with the trace. What
follows after the first difference has another context, and is not compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from validator.llm.programs.completion import Trace
from validator.llm.programs.sampling import MOST_MARGIN
from validator.llm.sample import CheckedPrompt


@dataclass(frozen=True, slots=True)
class TextComparison:
    """How far a text followed the trusted one.

    `tokens` were compared; `margin` is that of the first different one, 0 when there is none.
    """

    tokens: int
    margin: float


@dataclass(frozen=True, slots=True)
class AnswersCheck:
    """The outcome for all checked prompts, with a reason when they are wrong."""

    is_right: bool
    reason: str
    tokens: int = 0
    worst_margin: float = 0.0
    differing: int = 0


def check(
    answers: Mapping[str, str],
    checked: Sequence[CheckedPrompt],
    *,
    is_exact: bool,
    tolerance: float,
) -> AnswersCheck:
    """Compare the answers to the checked prompts."""
    missing = [one for one in checked if one.content not in answers]
    if missing:
        return AnswersCheck(False, f"{len(missing)} checked prompts have no answer")
    if is_exact:
        wrong = sum(answers[one.content] != one.answer for one in checked)
        reason = f"{wrong} of {len(checked)} checked answers are wrong" if wrong else "right"
        return AnswersCheck(not wrong, reason, differing=wrong)
    found = [compare(answers[one.content], one.trace) for one in checked]
    tokens = sum(one.tokens for one in found)
    worst = max((one.margin for one in found), default=0.0)
    differing = sum(one.margin > 0 for one in found)
    if worst > tolerance:
        reason = (
            f"an answer left the trusted one by a margin of {worst:.2f}, over {tolerance:g}: "
            "another seed, model or quantisation"
        )
        return AnswersCheck(False, reason, tokens, worst, differing)
    return AnswersCheck(True, "right within the tolerance", tokens, worst, differing)


def compare(text: str, trace: Trace) -> TextComparison:
    """Follow a text along a trusted trace until it leaves it."""
    rest = text
    for number, candidates in enumerate(trace):
        chosen = candidates[0][0]
        if rest.startswith(chosen) if chosen else not rest:
            rest = rest[len(chosen) :]
            continue
        return TextComparison(number + 1, _margin_of(rest, candidates))
    # The trusted text ended by its length; what a miner adds to that is no answer of this solver.
    return TextComparison(len(trace), MOST_MARGIN if rest else 0.0)


def _margin_of(rest: str, candidates: Sequence[tuple[str, float]]) -> float:
    """The margin of the token that a text goes on with; the most when it is none of these."""
    for piece, margin in candidates[1:]:
        if rest.startswith(piece) if piece else not rest:
            return margin
    return MOST_MARGIN
