"""Attempts at synthetic jobs, for tests."""

from typing import Any

from compute_horde.hardware import ExecutorClass
from tests.peers.user import request
from validator.synthetic import attempts
from validator.synthetic.attempts import Attempt
from validator.synthetic.kinds.hash_chain import hash_chain
from validator.synthetic.kinds.hash_kind import HashKind, HashParameters
from validator.synthetic.kinds.kind import DeclaredExecutor, PreparedJob, TimeLimits

TEST = ExecutorClass.always_on__test
PARAMETERS = HashParameters(candidates=20)
KIND = HashKind(PARAMETERS)


def prepared(
    hotkey: str, executor_class: ExecutorClass = TEST, number: int = 0, **fields: Any
) -> PreparedJob:
    """A small hash puzzle for an executor of this miner."""
    executor = DeclaredExecutor(hotkey, executor_class, number, f"seed {number}")
    puzzle = hash_chain(executor.seed, hotkey, PARAMETERS.difficulty)
    args = ["chain", puzzle.key, str(puzzle.candidates), *puzzle.lists]
    given: dict[str, Any] = {"limits": TimeLimits(60)} | fields
    return PreparedJob("hash", executor, PARAMETERS.image, args, expected=puzzle.answer, **given)


def attempt(hotkey: str, number: int = 0, time_factor: int = 1, **fields: Any) -> Attempt:
    """An attempt that was not offered yet."""
    job = prepared(hotkey, number=number, **fields)
    made = attempts.request(job, request().uuid, time_factor)
    return Attempt(job, KIND, made, time_factor=time_factor)
