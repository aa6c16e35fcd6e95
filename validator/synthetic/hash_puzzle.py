"""Puzzles of kind `hash`: find the numbers whose salted SHA-256 hashes are given."""

import hashlib
from dataclasses import dataclass

TARGETS = 3


@dataclass(frozen=True, slots=True)
class HashPuzzle:
    """Find for each target the number below `candidates` that hashes to it with this salt."""

    salt: str
    candidates: int
    targets: tuple[str, ...]

    def arguments(self) -> list[str]:
        """The command line of the container."""
        return [self.salt, str(self.candidates), *self.targets]


def _numbers(seed: str, candidates: int) -> list[int]:
    """The answer: `TARGETS` distinct numbers derived from the seed, or all if there are fewer."""
    numbers: list[int] = []
    turn = 0
    while len(numbers) < min(TARGETS, candidates):
        drawn = hashlib.sha256(f"{seed}:number:{turn}".encode()).digest()
        number = int.from_bytes(drawn, "big") % candidates
        if number not in numbers:
            numbers.append(number)
        turn += 1
    return numbers


def _hashed(salt: str, number: int) -> str:
    return hashlib.sha256(f"{salt}{number}".encode()).hexdigest()


def puzzle(seed: str, candidates: int) -> HashPuzzle:
    """The puzzle of a secret seed."""
    salt = hashlib.sha256(f"{seed}:salt".encode()).hexdigest()[:16] + "-"
    targets = tuple(_hashed(salt, number) for number in _numbers(seed, candidates))
    return HashPuzzle(salt, candidates, targets)


def is_right(seed: str, candidates: int, stdout: str) -> bool:
    """Whether a container printed the numbers, one per line, in order."""
    return stdout.split() == [str(number) for number in _numbers(seed, candidates)]
