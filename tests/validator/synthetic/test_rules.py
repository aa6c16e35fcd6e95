"""Which puzzles a batch has, and when it is due."""

import pytest

from compute_horde.cycles import Cycle
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import HordeFailed, JobDeclined, JobFinished
from compute_horde.vocabulary import HordeReason, Party, RejectionReason
from validator.synthetic import hash_puzzle, rules
from validator.synthetic.rules import Cost, Task

TEST, GPU = ExecutorClass.always_on__test, ExecutorClass.always_on__gpu_24gb
UUID = "00000000-0000-0000-0000-000000000001"
COST = Cost("image", 100, 30)
TASK = Task("miner", TEST, "hash", "seed")


def test_every_declared_executor_gets_a_puzzle_of_its_own() -> None:
    tasks = rules.tasks({"b": {TEST: 2}, "a": {TEST: 1, GPU: 1}}, seed="s", max_per_class=10)
    counts = [(task.hotkey, task.executor_class) for task in tasks]
    assert counts == [("a", GPU), ("a", TEST), ("b", TEST), ("b", TEST)]
    assert len({task.seed for task in tasks}) == 4


def test_a_boasting_miner_gets_no_more_than_the_limit() -> None:
    tasks = rules.tasks({"a": {TEST: 10**9}}, seed="s", max_per_class=3)
    assert len(tasks) == 3


def test_the_seed_of_the_batch_decides_the_puzzles() -> None:
    ours, theirs = (rules.tasks({"a": {TEST: 1}}, seed=s, max_per_class=1) for s in "ab")
    assert ours != theirs


def test_the_job_carries_the_puzzle_and_its_time() -> None:
    job = rules.request(TASK, COST, UUID)
    assert job.args == hash_puzzle.puzzle("seed", 100).arguments()
    assert (job.docker_image, job.execution_time_limit, job.use_gpu) == ("image", 30, False)


def finished(stdout: str) -> JobFinished:
    return JobFinished(job_uuid=UUID, docker_process_stdout=stdout, docker_process_stderr="")


def test_a_right_answer_earns_one_point_and_nothing_else_does() -> None:
    numbers = "\n".join(map(str, hash_puzzle._numbers("seed", 100)))
    late = HordeFailed(
        job_uuid=UUID,
        reported_by=Party.VALIDATOR,
        message="too late",
        reason=HordeReason.EXECUTION_TIMED_OUT,
    )
    declined = JobDeclined(job_uuid=UUID, reason=RejectionReason.BUSY, message="full")
    verdicts = [
        rules.verdict(TASK, COST, word)
        for word in (finished(numbers), finished("1 2 3"), finished(""), late, declined)
    ]
    assert verdicts == [
        "right",
        "wrong answer",
        "wrong answer",
        "execution_timed_out: too late",
        "busy: full",
    ]
    assert [rules.points(verdict) for verdict in verdicts] == [1, 0, 0, 0, 0]


def test_long_words_of_a_miner_are_cut_and_short_ones_are_not() -> None:
    done = JobFinished(
        job_uuid=UUID,
        docker_process_stdout="1\n",
        docker_process_stderr="",
        artifacts={"/a": "x" * 10},
    )
    assert rules.shortened(done) is done
    long = done.model_copy(
        update={"docker_process_stderr": "e" * 10**6, "artifacts": {"/a": "x" * 10**6}}
    )
    cut = rules.shortened(long)
    assert cut == done.model_copy(
        update={"docker_process_stderr": "e" * rules.KEPT_CHARACTERS, "artifacts": {}}
    )
    lost = HordeFailed(
        job_uuid=UUID,
        reported_by=Party.MINER,
        reason=HordeReason.GENERIC_ERROR,
        message="m" * 10**6,
        context={"k": "v" * 10**6},
    )
    assert rules.shortened(lost) == lost.model_copy(
        update={"message": "m" * rules.KEPT_CHARACTERS, "context": {}}
    )


@pytest.mark.parametrize(
    ("block", "due"), [(100, False), (104, False), (105, True), (179, True), (180, False)]
)
def test_a_batch_is_due_in_a_part_of_its_cycle(block: int, due: bool) -> None:
    assert rules.is_due(Cycle(100, 200, 1), block, offset=0.05, deadline=0.8) is due
