"""The score of a single synthetic job, in each version of the rule that the network has had."""

from fractions import Fraction

# Since version 3 a right answer in time is worth one point, whatever time it took.
CURRENT_VERSION = 4


def job_score(seconds: Fraction, *, limit: Fraction, version: int = CURRENT_VERSION) -> Fraction:
    """The score of a right answer that took `seconds` of at most `limit`.

    Version 0: 2 * (1 - seconds / (2 * limit)). Versions 1 and 2: 1 / seconds. From version 3: 1.
    An answer that took no time or too long is worth 0.
    """
    if not 0 < seconds <= limit:
        return Fraction(0)
    if version == 0:
        return 2 * (1 - seconds / (2 * limit))
    if version in (1, 2):
        return 1 / seconds
    return Fraction(1)
