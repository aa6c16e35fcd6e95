"""A tiny language model in plain Python: recurrent, with fixed weights derived from its name.

It answers with words that mean nothing, and takes no weights and no GPU, so that all of the
pipeline runs on any machine. It uses additions, multiplications and divisions only, which IEEE 754
rounds alike everywhere, and correctly rounded sums: its answers are the same on every machine.
"""

import hashlib
import math
import operator
import random
from collections.abc import Iterable, Sequence

from validator.llm.programs.completion import Completion, Trace
from validator.llm.programs.sampling import Sampling, choose, noise_key

VOCABULARY = 128
WIDTH = 12
END = 0
# Output weights are between minus and plus this.
SPREAD = 1.5
# Hidden states of prompts that are kept.
CACHED_STATES = 1024
BITS = {"none": 0, "int8": 8, "int4": 4}

State = list[float]
Rows = list[list[float]]


class TinyModel:
    """The model with the weights of `name`, rounded to so many bits as `quantize` says."""

    is_deterministic = True

    def __init__(self, name: str = "tiny", quantize: str = "none") -> None:
        self.name = name
        drawn = random.Random(name)
        self._embedding = _rows(drawn, VOCABULARY, 2.0, BITS[quantize])
        self._recurrent = _rows(drawn, WIDTH, 0.7, BITS[quantize])
        self._output = _rows(drawn, VOCABULARY, SPREAD, BITS[quantize])
        self._cache: dict[tuple[int, ...], State] = {}

    def complete(
        self, prompts: Sequence[str], seeds: Sequence[int], sampling: Sampling
    ) -> list[Completion]:
        """A completion of each prompt; the prompts of a batch advance together, word by word."""
        keys = map(noise_key, seeds, prompts)
        running = [
            _RunningPrompt(self, prompt, key, sampling)
            for prompt, key in zip(prompts, keys, strict=True)
        ]
        for _ in range(sampling.max_tokens):
            left = [one for one in running if not one.has_ended]
            if not left:
                break
            for one in left:
                one.advance()
        return [one.completion() for one in running]

    def prompt_state(self, tokens: Sequence[int]) -> State:
        """The hidden state after a prompt; the beginnings of prompts are kept for the next one."""
        known = len(tokens)
        while known and tuple(tokens[:known]) not in self._cache:
            known -= 1
        state = self._cache[tuple(tokens[:known])] if known else [0.0] * WIDTH
        for number in range(known, len(tokens)):
            state = self.next_state(state, tokens[number])
            if len(self._cache) >= CACHED_STATES:
                del self._cache[next(iter(self._cache))]
            self._cache[tuple(tokens[: number + 1])] = state
        return state

    def next_state(self, state: State, token: int) -> State:
        """The hidden state after one more token."""
        added = self._embedding[token]
        return [
            _squashed(_product(row, state) + added[number])
            for number, row in enumerate(self._recurrent)
        ]

    def logits(self, state: State) -> list[float]:
        """The logit of every token."""
        return [_product(row, state) for row in self._output]


class _RunningPrompt:
    """One prompt while it is completed."""

    def __init__(self, model: TinyModel, prompt: str, key: bytes, sampling: Sampling) -> None:
        self._model, self._sampling, self._key = model, sampling, key
        self._state = model.prompt_state(tokens_of(prompt))
        self._position = 0
        self._words: list[str] = []
        self._trace: Trace = []
        self.has_ended = False

    def advance(self) -> None:
        logits = list(enumerate(self._model.logits(self._state)))
        found = choose(logits, self._sampling, self._key, self._position)
        if self._sampling.trace:
            self._trace.append([(piece(one.token), one.margin) for one in found])
        self._position += 1
        token = found[0].token
        self.has_ended = token == END
        self._words.append(piece(token))
        self._state = self._model.next_state(self._state, token)

    def completion(self) -> Completion:
        return Completion("".join(self._words), self._trace)


def piece(token: int) -> str:
    """The text of a token: a space and a word of four letters, nothing for the end."""
    if token == END:
        return ""
    consonants, vowels = "bdfgklmnprstvwzh", "aeio"
    first, second = token // 4, token % 4
    return f" {consonants[first // 4]}{vowels[first % 4]}{consonants[first % 13]}{vowels[second]}"


def tokens_of(text: str) -> list[int]:
    """The tokens of any text: words that are not the model's own stand for one of them."""
    return [_TOKENS.get(word, 1 + _hashed(word) % (VOCABULARY - 1)) for word in text.split()]


def _hashed(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")


_TOKENS = {piece(token).strip(): token for token in range(1, VOCABULARY)}


def _rows(drawn: random.Random, count: int, size: float, bits: int) -> Rows:
    """Rows of weights between -`size` and `size`."""
    rows = [[(2 * drawn.random() - 1) * size for _ in range(WIDTH)] for _ in range(count)]
    return [list(_quantized(row, bits)) for row in rows]


def _quantized(row: Sequence[float], bits: int) -> Iterable[float]:
    """The weights rounded to so many bits, with one scale for the row; 0 bits: as they are."""
    if not bits:
        return row
    scale = max(map(abs, row)) / (2 ** (bits - 1) - 1)
    return (round(weight / scale) * scale for weight in row)


def _product(row: Sequence[float], state: State) -> float:
    return math.fsum(map(operator.mul, row, state))


def _squashed(value: float) -> float:
    return value / (1 + abs(value))
