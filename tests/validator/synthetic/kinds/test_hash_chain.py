"""Chained hash puzzles."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from tests.peers.miner import solved
from validator.synthetic.kinds import hash_chain
from validator.synthetic.kinds.hash_chain import Difficulty, HashChain

DIFFICULTY = Difficulty(40, 3, ("sha256", "sha512", "sha384"), 16)
seeds = st.text("0123456789abcdef", min_size=1, max_size=64)


def made(seed: str = "seed", hotkey: str = "5Miner", size: Difficulty = DIFFICULTY) -> HashChain:
    return hash_chain.hash_chain(seed, hotkey, size)


def arguments(puzzle: HashChain) -> list[str]:
    return ["chain", puzzle.key, str(puzzle.candidates), *puzzle.lists]


@given(seeds, st.integers(1, 50), st.integers(1, 4))
def test_a_puzzle_can_be_solved_and_has_one_answer(
    seed: str, candidates: int, targets: int
) -> None:
    puzzle = made(seed, size=Difficulty(candidates, targets, ("sha256", "sha512"), 16))
    assert solved(arguments(puzzle)) == puzzle.answer
    assert puzzle == made(seed, size=Difficulty(candidates, targets, ("sha256", "sha512"), 16))


@given(seeds, seeds)
def test_an_answer_is_worth_nothing_elsewhere(ours: str, theirs: str) -> None:
    assert made(ours).answer != made(ours, hotkey="5Other").answer
    if ours != theirs:
        mine, other = made(ours), made(theirs)
        assert mine.key != other.key
        assert not set(mine.lists) & set(other.lists)


def test_the_key_tells_for_which_miner_the_puzzle_is() -> None:
    for characters in (16, 48):
        hotkey, _, secret = made(size=Difficulty(9, 1, ("sha256",), characters)).key.partition("-")
        assert (hotkey, len(secret)) == ("5Miner", characters)


def test_a_list_cannot_be_searched_before_the_one_before_it() -> None:
    """With the salt of the first list, none of the second list's hashes is found."""
    puzzle = made()
    salt = hash_chain.first_salt(puzzle.key)
    first, second = (set(one.partition(":")[2].split(",")) for one in puzzle.lists[:2])
    for wanted, algorithm, found in ((first, "sha256", 3), (second, "sha512", 0)):
        hashes = {
            hashlib.new(algorithm, f"{salt}{number}".encode()).hexdigest() for number in range(40)
        }
        assert len(hashes & wanted) == found


def test_numbers_are_distinct_and_no_more_than_there_are() -> None:
    puzzle = made(size=Difficulty(2, 9, ("sha256",), 16))
    assert len(set(puzzle.lists[0].partition(":")[2].split(","))) == 2
