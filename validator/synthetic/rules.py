"""Rules for batches: when one is due, its puzzles, and the points of an answer."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from compute_horde.cycles import Cycle
from compute_horde.hardware import PROMISES, ExecutorClass
from compute_horde.nul_characters import replace_nul
from compute_horde.protocol.job import JobFinished, JobRequested
from compute_horde.protocol.message import JobMessage
from validator.synthetic import hash_puzzle

RIGHT = "right"
WRONG = "wrong answer"
MAX_CHARACTERS = 2**15
KEPT_CHARACTERS = 2**12


@dataclass(frozen=True, slots=True)
class Cost:
    """The difficulty of puzzles: image, number of candidates, and time limit in seconds."""

    image: str
    candidates: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Kind:
    """How puzzles of one kind are generated and checked."""

    arguments: Callable[[str, Cost], list[str]]
    is_right: Callable[[str, Cost, str], bool]


KINDS: Mapping[str, Kind] = {
    "hash": Kind(
        arguments=lambda seed, cost: hash_puzzle.puzzle(seed, cost.candidates).arguments(),
        is_right=lambda seed, cost, stdout: hash_puzzle.is_right(seed, cost.candidates, stdout),
    ),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One puzzle for one offered executor."""

    hotkey: str
    executor_class: ExecutorClass
    kind: str
    seed: str


def tasks(
    manifests: Mapping[str, Mapping[ExecutorClass, int]], *, seed: str, max_per_class: int
) -> list[Task]:
    """One task for every offered executor, up to a limit per class; each has its own seed."""
    return [
        Task(hotkey, executor_class, "hash", _own_seed(seed, hotkey, executor_class, number))
        for hotkey, manifest in sorted(manifests.items())
        for executor_class, count in sorted(manifest.items())
        for number in range(min(count, max_per_class))
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


def verdict(task: Task, cost: Cost, final_message: JobMessage) -> str:
    """`RIGHT`, or why the task earns nothing; for a late answer the final message tells it."""
    if not isinstance(final_message, JobFinished):
        reason = getattr(final_message, "reason", "")
        text = getattr(final_message, "message", "")
        # PostgreSQL stores no NUL, and one such text would lose the results of the whole batch.
        return replace_nul(f"{reason}: {text}"[:200])
    stdout = final_message.docker_process_stdout
    return RIGHT if KINDS[task.kind].is_right(task.seed, cost, stdout) else WRONG


def shortened(message: JobMessage) -> JobMessage:
    """The message, cut when it is longer than any puzzle needs.

    All answers of a batch are held in memory until its end.
    """
    if len(message.encode()) <= MAX_CHARACTERS:
        return message
    cut: dict[str, object] = {}
    for name, value in message:
        if isinstance(value, dict | list):
            cut[name] = type(value)()
        elif isinstance(value, str) and not isinstance(value, Enum):
            cut[name] = value[:KEPT_CHARACTERS]
    return message.model_copy(update=cut)


def points(verdict: str) -> int:
    """One point for a right answer in time, else none."""
    return int(verdict == RIGHT)


def is_due(cycle: Cycle, block: int, *, offset: float, deadline: float) -> bool:
    """Whether the cycle's batch should start at `block`; both limits are parts of the cycle."""
    length = cycle.stop - cycle.start
    return offset * length <= block - cycle.start < deadline * length
