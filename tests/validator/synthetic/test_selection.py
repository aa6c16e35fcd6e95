"""Which executors a batch tests."""

from typing import Any

import pytest
from django.utils import timezone

from compute_horde.cycles import cycle_at, peak_cycle
from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from tests.validator.conftest import configured
from tests.validator.synthetic.test_measured import attempt
from validator.network.models import Snapshot
from validator.synthetic import measured
from validator.synthetic.models import Batch
from validator.synthetic.selection import make_attempts, select

pytestmark = pytest.mark.django_db

TEST, GPU, LLM = (
    ExecutorClass.always_on__test,
    ExecutorClass.always_on__gpu_24gb,
    ExecutorClass.always_on__llm__a6000,
)
NETUID = 8
PEAK = peak_cycle(5000, netuid=NETUID, tempo=9)
LATER = cycle_at(PEAK.start + 60, netuid=NETUID, tempo=9)


def config(**fields: Any):
    return configured(**({"netuid": NETUID} | fields))


def batch(cycle_start: int | None, state: str = "running") -> Batch:
    Snapshot.objects.create(block=1, tempo=9, neurons=1)
    return Batch.objects.create(
        cycle_start=cycle_start, block=5000, state=state, seed="s", alive_at=timezone.now()
    )


def counted(held: Batch, manifests: Any, **fields: Any) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for one in select(held, manifests, config(**fields)).executors:
        key = one.hotkey, one.executor_class
        counts[key] = counts.get(key, 0) + 1
    return counts


def test_every_declared_executor_is_tested_with_a_seed_of_its_own() -> None:
    chosen = select(batch(PEAK.start), {"b": {TEST: 2}, "a": {TEST: 1, GPU: 1}}, config())
    keys = [(one.hotkey, one.executor_class, one.number) for one in chosen.executors]
    assert keys == [("a", GPU, 0), ("a", TEST, 0), ("b", TEST, 0), ("b", TEST, 1)]
    assert len({one.seed for one in chosen.executors}) == 4
    assert (chosen.is_full, chosen.notes) == (True, [])


def test_a_boasting_miner_gets_no_more_than_the_caps_and_the_operator_sees_it() -> None:
    manifests = {"a": {TEST: 10**9, LLM: 3}, "b": {LLM: 4}}
    chosen = select(batch(PEAK.start), manifests, config(most_executors_per_class=3))
    assert len(chosen.executors) == 3 + 2 + 2
    assert f"3 not tested: at most 2 of {LLM} count" in chosen.notes


def test_outside_the_peak_cycle_a_part_is_tested() -> None:
    peak = batch(PEAK.start, "done")
    for outcome in ("correct",) * 12 + ("wrong_answer",):
        attempt(peak, "a", outcome)
    manifests = {"a": {TEST: 13}, "late": {TEST: 5, LLM: 5}}
    assert counted(batch(LATER.start), manifests) == {
        ("a", TEST): 2,
        ("late", TEST): 1,
        ("late", LLM): 2,
    }


def test_who_was_not_tested_in_the_peak_cycle_by_our_fault_is_taken_at_its_word() -> None:
    peak = batch(PEAK.start, "done")
    attempt(peak, "failed", "validator_failed")
    attempt(peak, "boasting", "validator_failed")
    manifests = {"failed": {TEST: 13}, "boasting": {TEST: 10**9}}
    later = batch(LATER.start)
    assert counted(later, manifests, most_executors_per_class=25) == {
        ("failed", TEST): 2,
        ("boasting", TEST): 3,
    }


def test_before_it_has_completed_a_batch_a_validator_tests_everybody() -> None:
    batch(PEAK.start, "interrupted")
    chosen = select(batch(LATER.start), {"a": {TEST: 13}}, config())
    assert (len(chosen.executors), chosen.is_full) == (13, True)


@pytest.mark.parametrize("cycle_start", [None, PEAK.start + 200])
def test_an_extra_batch_and_the_next_peak_cycle_test_everybody(cycle_start: int | None) -> None:
    batch(PEAK.start, "done")
    assert counted(batch(cycle_start), {"a": {TEST: 13}}) == {("a", TEST): 13}


@pytest.mark.django_db(transaction=True)
async def test_new_miners_have_more_time() -> None:
    held = await in_database(batch, PEAK.start)

    def remember() -> None:
        measured.known_miners(["old"], 0)
        measured.known_miners(["silent"], 0)
        measured.known_miners(["young"], 4990)
        measured.note_answers(["old", "young"])

    await in_database(remember)
    manifests = {name: {TEST: 1} for name in ("old", "silent", "young", "unknown")}
    chosen = await in_database(select, held, manifests, config(new_miner_time_factor=3))
    assert chosen.new_miners == {"silent", "young", "unknown"}
    attempts = await make_attempts(held, chosen, config(new_miner_time_factor=3, hash_seconds=10))
    limits = {one.executor.hotkey: one.request.execution_time_limit for one in attempts}
    assert limits == {"old": 10, "silent": 30, "young": 30, "unknown": 30}
