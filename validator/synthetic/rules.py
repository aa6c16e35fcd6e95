"""Which puzzles a batch sets, when it is due, and what an answer is worth."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from compute_horde.cycles import Cycle
from compute_horde.hardware import PROMISES, ExecutorClass
from compute_horde.protocol.job import JobFinished, JobRequested
from compute_horde.protocol.message import JobMessage
from validator.synthetic import hash_puzzle

RIGHT = "right"
WRONG = "wrong answer"
MOST_CHARACTERS = 2**15
KEPT_CHARACTERS = 2**12


@dataclass(frozen=True, slots=True)
class Cost:
    """How hard puzzles are at present."""

    image: str
    candidates: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Kind:
    """How puzzles of a kind are set and checked."""

    arguments: Callable[[str, Cost], list[str]]
    is_right: Callable[[str, Cost, str], bool]


KINDS: Mapping[str, Kind] = {
    "hash": Kind(
        arguments=lambda seed, cost: hash_puzzle.puzzle(seed, cost.candidates).arguments(),
        is_right=lambda seed, cost, said: hash_puzzle.is_right(seed, cost.candidates, said),
    ),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One puzzle for one declared executor."""

    hotkey: str
    executor_class: ExecutorClass
    kind: str
    seed: str


def tasks(
    manifests: Mapping[str, Mapping[ExecutorClass, int]], *, seed: str, most_per_class: int
) -> list[Task]:
    """One task for every declared executor, up to a limit; each with a secret of its own."""
    return [
        Task(hotkey, executor_class, "hash", _own_seed(seed, hotkey, executor_class, number))
        for hotkey, manifest in sorted(manifests.items())
        for executor_class, count in sorted(manifest.items())
        for number in range(min(count, most_per_class))
    ]


def _own_seed(seed: str, hotkey: str, executor_class: ExecutorClass, number: int) -> str:
    return hashlib.sha256(f"{seed}:{hotkey}:{executor_class}:{number}".encode()).hexdigest()


def request(task: Task, cost: Cost, uuid: str) -> JobRequested:
    """The job that carries a puzzle."""
    return JobRequested(
        uuid=uuid,
        executor_class=task.executor_class,
        docker_image=cost.image,
        args=KINDS[task.kind].arguments(task.seed, cost),
        env={},
        use_gpu=PROMISES[task.executor_class].gpu,
        download_time_limit=0,
        execution_time_limit=cost.seconds,
        upload_time_limit=0,
        streaming_start_time_limit=0,
    )


def verdict(task: Task, cost: Cost, last_word: JobMessage) -> str:
    """`right`, or why the task earns nothing; being late is told by `last_word` itself."""
    if not isinstance(last_word, JobFinished):
        reason = getattr(last_word, "reason", "")
        text = getattr(last_word, "message", "")
        # PostgreSQL holds no NUL, and one miner's words must not cost all the others their points.
        return f"{reason}: {text}"[:200].replace("\0", "")
    said = last_word.docker_process_stdout
    return RIGHT if KINDS[task.kind].is_right(task.seed, cost, said) else WRONG


def brief(message: JobMessage) -> JobMessage:
    """What a miner said, cut where it is longer than any puzzle needs.

    All answers of a batch are held until its end, and nobody may fill the worker's memory.
    """
    if len(message.encode()) <= MOST_CHARACTERS:
        return message
    cut: dict[str, object] = {}
    for name, value in message:
        if isinstance(value, dict | list):
            cut[name] = type(value)()
        elif isinstance(value, str) and not isinstance(value, Enum):
            cut[name] = value[:KEPT_CHARACTERS]
    return message.model_copy(update=cut)


def points(verdict: str) -> int:
    """One point per job done right and in time."""
    return int(verdict == RIGHT)


def is_due(cycle: Cycle, block: int, *, offset: float, deadline: float) -> bool:
    """Whether the cycle's batch should begin at `block`, if it has not."""
    length = cycle.stop - cycle.start
    return offset * length <= block - cycle.start < deadline * length
