"""Which kind tests which executor."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import JobFinished
from validator.synthetic.kinds import choices
from validator.synthetic.kinds.choices import Assignment, KindChoice, assign, quotas
from validator.synthetic.kinds.kind import (
    BatchFacts,
    DeclaredExecutor,
    Preparation,
    PreparedJob,
    TimeLimits,
    Verdict,
)

TEST, GPU = ExecutorClass.always_on__test, ExecutorClass.always_on__gpu_24gb
FACTS = BatchFacts("seed", "validator", 1)


def executors(count: int, executor_class: ExecutorClass = TEST) -> list[DeclaredExecutor]:
    return [DeclaredExecutor("m", executor_class, n, f"{n}") for n in range(count)]


class Rationed:
    """A kind with a number of jobs in all; it breaks when that is negative."""

    class Parameters(BaseModel):
        name: str
        most: int

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    async def prepare(
        self, facts: BatchFacts, executors: Sequence[DeclaredExecutor]
    ) -> Preparation:
        most = self.parameters.most
        if most < 0:
            raise OSError("no bucket")
        jobs = [
            PreparedJob(self.parameters.name, one, "image", [], TimeLimits(1), "x")
            for one in executors[:most]
        ]
        return Preparation(jobs, "out of prompts" if len(executors) > most else "")

    def verify(self, job: PreparedJob, result: JobFinished, seconds: float) -> Verdict:
        return Verdict(1, "right")


@pytest.fixture(autouse=True)
def _rationed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "KINDS", {**choices.KINDS, "rationed": Rationed})


def rationed(name: str, most: int, share: int = 1) -> KindChoice:
    return KindChoice(
        kind="rationed", share=Decimal(share), parameters={"name": name, "most": most}
    )


def kinds_of(assignment: Assignment) -> Counter[str]:
    return Counter(job.kind for job, _ in assignment.jobs)


@given(st.integers(0, 500), st.lists(st.integers(1, 100), min_size=1, max_size=5))
def test_quotas_add_up_and_are_in_proportion(count: int, shares: list[int]) -> None:
    parts = quotas(count, [Decimal(share) for share in shares])
    assert sum(parts) == count
    for part, share in zip(parts, shares, strict=True):
        assert abs(part - count * share / sum(shares)) < 1


async def test_the_kinds_of_a_class_share_its_executors() -> None:
    chosen = {TEST: [rationed("a", 99, 3), rationed("b", 99, 1)], GPU: [rationed("c", 99)]}
    assignment = await assign(FACTS, [*executors(8), *executors(2, GPU)], chosen)
    assert kinds_of(assignment) == {"a": 6, "b": 2, "c": 2}
    assert assignment.notes == []


async def test_which_executor_gets_which_kind_is_another_one_in_each_batch() -> None:
    chosen = {TEST: [rationed("a", 99), rationed("b", 99)]}

    async def numbers(seed: str) -> set[int]:
        assignment = await assign(BatchFacts(seed, "v", 1), executors(40), chosen)
        return {job.executor.number for job, _ in assignment.jobs if job.kind == "a"}

    assert await numbers("one") == await numbers("one")
    assert await numbers("one") != await numbers("two")


async def test_what_one_kind_lacks_the_next_makes_and_the_operator_sees_why() -> None:
    chosen = {TEST: [rationed("a", 1), rationed("b", 99)]}
    assignment = await assign(FACTS, executors(8), chosen)
    assert kinds_of(assignment) == {"a": 1, "b": 7}
    (note,) = assignment.notes
    assert re.match(r"rationed lacked jobs for 3 of 4 always_on.test: out of prompts", note)


async def test_after_the_last_kind_an_earlier_one_makes_the_rest() -> None:
    chosen = {TEST: [rationed("a", 99), rationed("b", 1)]}
    assignment = await assign(FACTS, executors(8), chosen)
    assert kinds_of(assignment) == {"a": 7, "b": 1}


async def test_executors_for_which_no_kind_has_a_job_are_noted() -> None:
    assignment = await assign(FACTS, executors(8), {TEST: [rationed("a", 2), rationed("b", 3)]})
    assert kinds_of(assignment) == {"a": 2, "b": 3}
    assert assignment.notes[-1] == "3 always_on.test were not tested"


async def test_a_kind_that_breaks_is_a_shortage() -> None:
    assignment = await assign(FACTS, executors(2), {TEST: [rationed("a", -1), rationed("b", 9)]})
    assert kinds_of(assignment) == {"b": 2}
    assert "OSError: no bucket" in assignment.notes[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "unknown"},
        {"kind": "hash", "share": 0},
        {"kind": "hash", "parameters": {"version": 9}},
        {"kind": "echo", "parameters": {"text": "hi"}},
        {"kind": "echo", "part": 1},
    ],
)
def test_a_wrong_choice_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        KindChoice(**wrong)


def test_a_choice_knows_the_image_of_its_jobs() -> None:
    assert KindChoice(kind="hash", parameters={"image": "a/b:1"}).image == "a/b:1"
    assert KindChoice(kind="hash").image == "computehorde/hash:v1"


def test_the_settings_load_no_client_and_no_cryptography_of_single_kinds() -> None:
    """Every process of the validator reads them; each of these takes 5 to 10 MiB."""
    code = (
        "import sys, validator.config; "
        "print([one for one in ('httpx', 'cryptography', 'boto3') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
