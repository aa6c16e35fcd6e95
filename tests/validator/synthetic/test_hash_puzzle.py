"""Hash puzzles, solved here and by the script of the project's image."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import validator.synthetic
from validator.synthetic import hash_puzzle

SCRIPT = Path(validator.synthetic.__file__).parent / "image" / "solve.sh"
seeds = st.text("0123456789abcdef", min_size=1, max_size=64)


def solved(puzzle: hash_puzzle.HashPuzzle) -> str:
    """The output of the script that runs in the container."""
    command = ["sh", str(SCRIPT), *puzzle.arguments()]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("candidates", [1, 2, 60])
def test_the_containers_script_finds_what_is_asked(candidates: int) -> None:
    puzzle = hash_puzzle.puzzle("seed", candidates)
    assert hash_puzzle.is_right("seed", candidates, solved(puzzle))


def test_the_script_says_when_there_is_nothing_to_find() -> None:
    puzzle = hash_puzzle.HashPuzzle("salt-", 3, ("0" * 64,))
    assert solved(puzzle) == "?\n"


@given(seeds, st.integers(1, 10**6))
def test_a_seed_always_gives_the_same_puzzle(seed: str, candidates: int) -> None:
    assert hash_puzzle.puzzle(seed, candidates) == hash_puzzle.puzzle(seed, candidates)


@given(seeds, seeds)
def test_one_miners_answer_is_worth_nothing_to_another(ours: str, theirs: str) -> None:
    if ours != theirs:
        mine, other = hash_puzzle.puzzle(ours, 10**6), hash_puzzle.puzzle(theirs, 10**6)
        assert mine.salt != other.salt
        assert not set(mine.targets) & set(other.targets)


@given(st.text(max_size=50))
def test_a_guess_is_wrong(stdout: str) -> None:
    assert not hash_puzzle.is_right("secret", 10**9, stdout)


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: [*s, "1"], lambda s: s[::-1], list])
def test_only_the_whole_answer_in_order_is_right(change) -> None:
    numbers = hash_puzzle._numbers("secret", 10**6)
    stdout = "\n".join(map(str, change(numbers)))
    assert hash_puzzle.is_right("secret", 10**6, stdout) == (change is list)
