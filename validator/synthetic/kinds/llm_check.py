"""Compares a miner's answers with trusted ones: exactly, or token by token with tolerance; pure.

The tolerant comparison is in the manner of Token-DiFR: both sides sample with Gumbel noise derived
from the same seed, so they choose the same token unless their logits differ. Where a miner's text
leaves the trusted one, the trusted trace has the margin: by how much the logits, divided by the
temperature, would have to differ for that choice. Another kernel makes differences of a hundredth,
another quantisation or model larger ones, and another seed has nothing to do with the trace. What
follows after the first difference has another context, and is not compared.

So a miner would save work if it left the trusted text on purpose where a small margin permits it.
Two more rules are about all checked answers of a job together: they must not leave the trusted ones
far more often than honest answers do, and must not end where they leave them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from validator.llm.programs.completion import Trace
from validator.llm.programs.sampling import MOST_MARGIN
from validator.llm.sample import CheckedPrompt

# Honest answers are taken for wrong by how often they differ with less than this probability.
LEAST_PROBABILITY = 0.001
# A single answer may end soon after it differs; of so many it is no chance any more.
FEWEST_FOR_LENGTH = 2


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How answers may differ from trusted ones.

    `margin` is the largest one of a token. `deviations` is how many of 1000 tokens are the first
    other one of an honest answer. `length`: what follows the first other tokens of a job's answers
    has at least this part of the characters that the trusted answers go on with.
    """

    margin: float = 0.05
    deviations: float = 4.0
    length: float = 0.1


@dataclass(frozen=True, slots=True)
class TextComparison:
    """How far a text followed the trusted one.

    `tokens` were compared; `margin` is that of the first different one, 0 when there is none. After
    that the text goes on with `rest` characters, and the trusted one with `trusted_rest`; both are
    0 when either ended there.
    """

    tokens: int
    margin: float
    rest: int = 0
    trusted_rest: int = 0


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
    tolerance: Tolerance,
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
    problem = problem_of(found, tolerance)
    reason = problem or "right within the tolerance"
    return AnswersCheck(not problem, reason, tokens, worst, differing)


def problem_of(found: Sequence[TextComparison], tolerance: Tolerance) -> str:
    """Why answers that were compared are wrong, or an empty text."""
    worst = max((one.margin for one in found), default=0.0)
    if worst > tolerance.margin:
        return (
            f"an answer left the trusted one by a margin of {worst:.2f}, over "
            f"{tolerance.margin:g}: another seed, model or quantisation"
        )
    tokens, left = sum(one.tokens for one in found), [one for one in found if one.margin > 0]
    usual = tokens * tolerance.deviations / 1000
    if _probability_of(len(left), usual) < LEAST_PROBABILITY:
        return f"{len(left)} answers differ within {tokens} tokens, where {usual:.2g} are usual"
    going_on = [one for one in left if one.trusted_rest]
    rest = sum(one.rest for one in going_on)
    wanted = sum(one.trusted_rest for one in going_on) * tolerance.length
    if len(going_on) >= FEWEST_FOR_LENGTH and rest < wanted:
        return f"{len(going_on)} answers end too soon after they left the trusted ones"
    return ""


def _probability_of(count: int, usual: float) -> float:
    """How probable so many rare events are, or more, where `usual` are expected (Poisson)."""
    if not count or not usual:
        return float(not count)
    logs = (number * math.log(usual) - usual - math.lgamma(number + 1) for number in range(count))
    return 1.0 - math.fsum(map(math.exp, logs))


def compare(text: str, trace: Trace) -> TextComparison:
    """Follow a text along a trusted trace until it leaves it."""
    rest = text
    for number, candidates in enumerate(trace):
        chosen = candidates[0][0]
        if rest.startswith(chosen) if chosen else not rest:
            rest = rest[len(chosen) :]
            continue
        piece, margin = _candidate(rest, candidates)
        going_on = len(rest) - len(piece)
        trusted = sum(len(later[0][0]) for later in trace[number + 1 :])
        if not piece or not chosen:
            return TextComparison(number + 1, margin)
        return TextComparison(number + 1, margin, going_on, trusted)
    # The trusted text ended by its length; what a miner adds to that is no answer of this solver.
    return TextComparison(len(trace), MOST_MARGIN if rest else 0.0)


def _candidate(rest: str, candidates: Sequence[tuple[str, float]]) -> tuple[str, float]:
    """The token that a text goes on with; one of the largest margin when it is none of these."""
    for piece, margin in candidates[1:]:
        if rest.startswith(piece) if piece else not rest:
            return piece, margin
    return "", MOST_MARGIN
