"""Puzzles of kind `hash`: chained lists of hashes whose numbers must be found; pure.

The salt of each list is derived from the numbers of the list before it, so lists can be searched in
their order only. The salt of the first one is derived from a key that contains the miner's hotkey,
so no answer is worth anything to another miner.
"""

import hashlib
import itertools
from dataclasses import dataclass

HOTKEY_SEPARATOR = "-"


@dataclass(frozen=True, slots=True)
class Difficulty:
    """The size of a puzzle.

    Each of the `algorithms` (of hashlib) makes a list of `targets` hashes of numbers from 0 up to,
    not including, `candidates`. `key_characters` is the length of the random part of the key.
    """

    candidates: int
    targets: int
    algorithms: tuple[str, ...]
    key_characters: int


@dataclass(frozen=True, slots=True)
class HashChain:
    """A puzzle: the key, the lists as text (`algorithm:hash,hash`), and the answer."""

    key: str
    candidates: int
    lists: tuple[str, ...]
    answer: str


def hash_chain(seed: str, hotkey: str, difficulty: Difficulty) -> HashChain:
    """The puzzle that a secret seed makes for a miner."""
    secret = _drawn(seed, "key").hex()
    while len(secret) < difficulty.key_characters:
        secret += _drawn(seed, secret).hex()
    key = f"{hotkey}{HOTKEY_SEPARATOR}{secret[: difficulty.key_characters]}"
    salt, lists = first_salt(key), []
    for place, algorithm in enumerate(difficulty.algorithms):
        numbers = _numbers(f"{seed}:{place}", difficulty)
        hashes = ",".join(hashed(algorithm, salt, number) for number in numbers)
        lists.append(f"{algorithm}:{hashes}")
        salt = next_salt(salt, numbers)
    return HashChain(key, difficulty.candidates, tuple(lists), answer=salt)


def first_salt(key: str) -> str:
    """The salt of the first list: the SHA-256 of the key."""
    return hashlib.sha256(key.encode()).hexdigest()


def next_salt(salt: str, numbers: list[int]) -> str:
    """The salt after a list: the SHA-256 of its salt and its numbers, joined by `:`.

    The salt after the last list is the answer of the puzzle.
    """
    return hashlib.sha256(":".join([salt, *map(str, numbers)]).encode()).hexdigest()


def hashed(algorithm: str, salt: str, number: int) -> str:
    """The hash of the salt followed by the number in decimal, as hex."""
    return hashlib.new(algorithm, f"{salt}{number}".encode()).hexdigest()


def _numbers(seed: str, difficulty: Difficulty) -> list[int]:
    """Distinct numbers derived from the seed, as many as there are targets or candidates."""
    numbers: list[int] = []
    turns = itertools.count()
    while len(numbers) < min(difficulty.targets, difficulty.candidates):
        drawn = _drawn(seed, f"number:{next(turns)}")
        number = int.from_bytes(drawn, "big") % difficulty.candidates
        if number not in numbers:
            numbers.append(number)
    return numbers


def _drawn(seed: str, purpose: str) -> bytes:
    return hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
