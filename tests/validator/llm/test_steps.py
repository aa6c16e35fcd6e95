"""Steps run one at a time, and say how they ended."""

import psycopg
import pytest

from compute_horde.django.database_address import connection_parameters
from tests.validator.conftest import configured
from validator.config import config
from validator.llm import steps
from validator.llm.buckets import BucketError
from validator.llm.models import PipelineStep
from validator.llm.steps import run_step
from validator.llm.trusted_work import PipelineTools
from validator.synthetic.kinds.choices import KindChoice

pytestmark = pytest.mark.django_db(transaction=True)

USED = configured(
    batch_kinds={"always_on.test": [KindChoice(kind="llm")]},
    s3_bucket_name_prompts="p",
    s3_bucket_name_answers="a",
    aws_region="us-east-1",
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def step(tools: PipelineTools) -> str:
        made.append(tools.policy.model)
        return "done\0"

    monkeypatch.setitem(steps.STEPS, "generation", step)
    return made


def test_the_result_is_kept_for_the_operator(calls: list[str]) -> None:
    run_step("generation", USED)
    one = PipelineStep.objects.get()
    assert (one.name, one.is_ok, calls) == ("generation", True, ["tiny"])
    assert one.result.startswith("done")


def test_without_the_kind_nothing_is_done(calls: list[str]) -> None:
    run_step("generation", configured())
    assert (calls, PipelineStep.objects.count()) == ([], 0)


def test_a_failure_of_the_outside_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(tools: PipelineTools) -> str:
        raise BucketError("no bucket")

    monkeypatch.setitem(steps.STEPS, "generation", step)
    run_step("generation", USED)
    one = PipelineStep.objects.get()
    assert (one.is_ok, one.result) == (False, "BucketError: no bucket")


def test_buckets_that_are_not_set_are_named() -> None:
    run_step("sampling", configured(batch_kinds=USED.batch_kinds))
    assert "set S3_BUCKET_NAME_PROMPTS" in PipelineStep.objects.get().result


def test_two_steps_do_not_use_the_trusted_miner_at_once(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "LOCK_SECONDS", 0.0)
    monkeypatch.setattr(steps, "PAUSE_SECONDS", 0.0)
    with psycopg.connect(**connection_parameters()) as other:
        lock = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
        other.execute(lock, [steps.LOCKS["answering"]])
        run_step("generation", USED)
        assert calls == []
        other.execute("SELECT pg_advisory_unlock_all()")
        run_step("generation", USED)
    assert calls == ["tiny"]
    assert config.llm.model == "tiny"
