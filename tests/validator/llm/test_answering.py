"""The step that has workloads answered."""

from typing import Any

import pytest

from compute_horde.vocabulary import RejectionReason
from tests.validator.llm import making
from validator.llm import answering
from validator.llm.answering import answer
from validator.llm.models import Prompt, SolveWorkload
from validator.llm.programs.answer_file import BadFileError, prompts_text
from validator.llm.samples import ready_count
from validator.llm.trusted_work import PipelineTools
from validator.trusted_miner.errors import (
    TrustedMinerDeclinedError,
    TrustedMinerError,
    TrustedMinerUnreachableError,
)

pytestmark = pytest.mark.django_db


def ready_to_solve(count: int = 1, **about: Any) -> PipelineTools:
    made = making.tools()
    for _ in range(count):
        one = making.workload()
        prompts = Prompt.objects.filter(sample__workload=one)
        made.buckets.answers.put(one.key, prompts_text([prompt.content for prompt in prompts]))
        made.buckets.answers.put(one.seeds_key, b"1\n2\n")
    return PipelineTools(made.policy, made.buckets, making.solving(made, **about))


def test_answers_are_stored_and_secrets_leave_the_bucket() -> None:
    made = ready_to_solve()
    assert answer(made) == "1 workloads answered, 0 left"
    assert [one.answer for one in Prompt.objects.all()] == [
        f"to {one.content}" for one in Prompt.objects.all()
    ]
    assert {one.trace for one in Prompt.objects.all()} == {None}
    assert SolveWorkload.objects.get().is_deterministic
    assert made.buckets.answers.objects == {}
    assert ready_count() == 2


def test_the_job_has_the_seeds_and_the_arguments_of_its_workload() -> None:
    made, jobs = ready_to_solve(), []
    held = made.run_job

    def noting(job: Any) -> Any:
        jobs.append(job)
        return held(job)

    answer(PipelineTools(made.policy, made.buckets, noting))
    one = SolveWorkload.objects.get()
    assert jobs[0].image == "solver:1"
    assert list(jobs[0].args) == [
        "--x=1",
        f"--seeds=/volume/{one.uuid}.seeds",
        "--trace=8",
        f"/volume/{one.uuid}.txt",
    ]


def test_what_is_not_deterministic_keeps_its_traces() -> None:
    trace = [[(" a", 0.0), (" b", 0.1)]]
    answer(ready_to_solve(is_deterministic=False, traces=trace))
    assert [one.trace for one in Prompt.objects.all()] == [[[[" a", 0.0], [" b", 0.1]]]] * 2


def test_a_run_ends_before_the_time_for_another_workload_is_over() -> None:
    made, now = ready_to_solve(3), iter([0.0, 0.0, 150.0, 999.0])
    assert answer(made, clock=lambda: next(now)) == "1 workloads answered, 2 left"


@pytest.mark.parametrize(
    ("about", "problem"),
    [
        ({"left_out": 1}, "gave no answer to"),
        ({"is_deterministic": False}, "records no trace"),
    ],
)
def test_a_workload_without_all_answers_stays_and_says_why(
    about: dict[str, Any], problem: str
) -> None:
    made = ready_to_solve(**about)
    with pytest.raises(BadFileError, match=problem):
        answer(made)
    one = SolveWorkload.objects.get()
    assert (one.finished_at, one.tries) == (None, 1)
    assert problem in one.problem
    assert ready_count() == 0


def test_a_workload_that_never_succeeds_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "MOST_TRIES", 2)
    made = ready_to_solve(left_out=1)
    for left in (1, 0):
        with pytest.raises(BadFileError):
            answer(made)
        assert SolveWorkload.objects.count() == left


@pytest.mark.parametrize(
    "problem",
    [
        TrustedMinerDeclinedError(RejectionReason.BUSY, "users"),
        TrustedMinerUnreachableError("the connection was lost"),
    ],
)
def test_a_trusted_miner_that_is_busy_or_away_has_not_tried(
    problem: TrustedMinerError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "MOST_TRIES", 2)
    made = ready_to_solve()

    def run_job(job: Any) -> Any:
        raise problem

    for _ in range(3):
        with pytest.raises(type(problem)):
            answer(PipelineTools(made.policy, made.buckets, run_job))
    one = SolveWorkload.objects.get()
    assert one.tries == 0
    assert str(problem) in one.problem
