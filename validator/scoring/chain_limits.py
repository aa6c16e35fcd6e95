"""The chain's limits on weights: how many there must be, and the largest share of one.

This is what the chain's own client library does before it sends weights, in exact arithmetic.
"""

from collections.abc import Collection, Mapping
from fractions import Fraction

U16 = 65535
# What a neuron without a score gets where too few have one.
MINIMUM_WEIGHT = Fraction(1, 10**5)
# The library's guard against rounding; it is part of its result.
EPSILON = Fraction(1, 10**7)


def limited_weights(
    scores: Mapping[int, Fraction], *, uids: Collection[int], min_weights: int, max_weight: int
) -> dict[int, Fraction]:
    """The weight of each of the subnet's `uids`, zeros left out; they sum to 1.

    `min_weights`: with fewer scores than that, every other neuron gets MINIMUM_WEIGHT added. With
    no score at all, or fewer neurons than that, all get the same.
    `max_weight`: the largest share, as parts of 65535.
    """
    positive = {uid: score for uid, score in sorted(scores.items()) if score > 0}
    if not positive or len(uids) < min_weights:
        return {uid: Fraction(1, len(uids)) for uid in sorted(uids)}
    if len(positive) < min_weights:
        zero = Fraction(0)
        positive = {uid: MINIMUM_WEIGHT + positive.get(uid, zero) for uid in sorted(uids)}
    return _capped(positive, Fraction(max_weight, U16))


def _capped(weights: dict[int, Fraction], limit: Fraction) -> dict[int, Fraction]:
    """Scale the weights to sum 1 and cut the largest, so that none is above `limit`."""
    count = len(weights)
    if count * limit <= 1:
        return dict.fromkeys(weights, Fraction(1, count))
    total = sum(weights.values(), Fraction(0))
    if max(weights.values()) / total <= limit:
        return {uid: weight / total for uid, weight in weights.items()}
    cutoff = _cutoff([value / total for value in sorted(weights.values())], limit)
    cut = {uid: min(weight / total, cutoff) for uid, weight in weights.items()}
    remaining = sum(cut.values(), Fraction(0))
    return {uid: weight / remaining for uid, weight in cut.items()}


def _cutoff(shares: list[Fraction], limit: Fraction) -> Fraction:
    """Where to cut, so that after scaling to sum 1 again the cut shares are about `limit`."""
    below, sums = 0, Fraction(0)
    kept = Fraction(0)
    for place, share in enumerate(shares):
        sums += share
        if share / (share * (len(shares) - place - 1) + sums + EPSILON) < limit:
            below, kept = below + 1, sums
    return (limit * kept - EPSILON) / (1 - limit * (len(shares) - below))
