"""Chooses tokens by a shared seed, and measures how far each choice is from another one; pure.

A token is sampled by the Gumbel-max method: the logits, divided by the temperature, plus Gumbel
noise, and then the largest. The noise is a function of the seed, the prompt, the position and the
token, so two parties with the same seed choose alike as far as their logits are alike, whatever
else is in the batch. This makes a token-level check with tolerance possible (Token-DiFR).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

# A larger margin proves nothing more.
MOST_MARGIN = 20.0
# The 53 bits of a float between 0 and 1.
BITS = 53


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are sampled; a token is one of those whose probabilities make up `top_p`.

    With `trace` above 0 so many candidates are recorded at each position.
    """

    temperature: float = 0.5
    top_p: float = 0.8
    max_tokens: int = 256
    trace: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that might be chosen at a position.

    `margin` is by how much the logits, in units of the temperature, would have to be different for
    it to be chosen: 0 for the chosen one.
    """

    token: int
    margin: float


def noise_key(seed: int, prompt: str) -> bytes:
    """What all noise for one prompt is derived from."""
    return hashlib.sha256(f"{seed}:{prompt}".encode()).digest()


def gumbel_noise(key: bytes, position: int, token: int) -> float:
    """The noise of a token at a position.

    It is rounded: the last digit of a logarithm depends on the machine's library.
    """
    place = position.to_bytes(4, "big") + token.to_bytes(4, "big")
    drawn = hashlib.blake2b(place, digest_size=8, key=key).digest()
    uniform = ((int.from_bytes(drawn, "big") >> (64 - BITS)) + 0.5) / 2**BITS
    return round(-math.log(-math.log(uniform)), 9)


def choose(
    logits: Sequence[tuple[int, float]], sampling: Sampling, key: bytes, position: int
) -> list[Candidate]:
    """The chosen token and, with a trace, the next best, by their margins.

    `logits` are the tokens with their logits; of a large vocabulary the most probable are enough.
    """
    scaled = sorted(
        ((logit / sampling.temperature, token) for token, logit in logits), reverse=True
    )
    inside = _nucleus(scaled, sampling.top_p)
    noisy = sorted(
        ((scale + gumbel_noise(key, position, token), token) for scale, token in scaled[:inside]),
        reverse=True,
    )
    best, chosen = noisy[0]
    if not sampling.trace:
        return [Candidate(chosen, 0.0)]
    border = scaled[inside - 1][0]
    second = noisy[1][0] if len(noisy) > 1 else best
    spare = _spare(scaled, chosen, sampling.top_p)
    found = [Candidate(chosen, 0.0)]
    for scale, token in scaled[: inside + sampling.trace]:
        if token != chosen:
            score = scale + gumbel_noise(key, position, token)
            needed = min(max(best - score, 0.0), spare + max(second - score, 0.0))
            margin = needed + max(border - scale, 0.0)
            found.append(Candidate(token, round(min(margin, MOST_MARGIN), 4)))
    found[1:] = sorted(found[1:], key=lambda one: one.margin)[: sampling.trace - 1]
    return found


def _nucleus(scaled: Sequence[tuple[float, int]], top_p: float) -> int:
    """How many of the most probable tokens make up `top_p`."""
    highest = scaled[0][0]
    weights = [math.exp(scale - highest) for scale, _ in scaled]
    wanted, reached = top_p * math.fsum(weights), 0.0
    for number, weight in enumerate(weights, 1):
        reached += weight
        if reached >= wanted:
            return number
    return len(weights)


def _spare(scaled: Sequence[tuple[float, int]], chosen: int, top_p: float) -> float:
    """By how much less the chosen token would not be one of the most probable any more."""
    own = next(scale for scale, token in scaled if token == chosen)
    others = [(scale, math.exp(scale - own)) for scale, token in scaled if token != chosen]
    in_all = math.fsum(weight for _, weight in others)
    least, above = math.inf, 0.0
    for scale, weight in others:
        above += weight
        # Below these others it is left out if its weight, 1 by now, is at most this.
        most = above / top_p - in_all
        if most > 0:
            least = min(least, max(own - scale, -math.log(most), 0.0))
    return least
