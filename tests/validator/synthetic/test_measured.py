"""What earlier batches found."""

from uuid import uuid4

import pytest
from django.utils import timezone

from compute_horde.hardware import ExecutorClass
from validator.jobs.models import Job
from validator.synthetic import measured
from validator.synthetic.models import Batch, MeasuredMiner, Puzzle

pytestmark = pytest.mark.django_db

TEST = ExecutorClass.always_on__test


def batch(cycle_start: int | None, state: str = "done") -> Batch:
    return Batch.objects.create(
        cycle_start=cycle_start, state=state, block=1, seed="s", alive_at=timezone.now()
    )


def attempt(
    held: Batch, hotkey: str, outcome: str, *, excused: bool = False, blamed: str = "nobody"
) -> None:
    job = Job.objects.create(uuid=uuid4(), kind="synthetic", executor_class=TEST)
    Puzzle.objects.create(
        batch=held,
        job=job,
        kind="hash",
        hotkey=hotkey,
        executor_class=TEST,
        outcome=outcome,
        excused=excused,
        blamed=blamed,
    )


def test_the_right_and_the_excused_were_online() -> None:
    held = batch(722)
    for outcome in ("correct", "correct", "wrong_answer", "declined_busy"):
        attempt(held, "a", outcome)
    attempt(held, "a", "declined_busy", excused=True)
    attempt(held, "b", "unreachable", blamed="miner")
    attempt(batch(1444), "c", "correct")
    attempt(batch(2166, "interrupted"), "d", "correct")
    assert measured.online_in(722) == {("a", TEST): 3, ("b", TEST): 0}
    assert measured.online_in(2166) == {}


def test_what_the_validator_failed_to_test_is_not_counted_as_away() -> None:
    held = batch(722)
    unknown = ("validator_failed", "interrupted", "open")
    for hotkey, outcomes in {
        "none tested": unknown,
        "all tested online": ("correct", *unknown),
        "half of the tested online": ("correct", "wrong_answer", *unknown),
        "no tested online": ("unreachable", *unknown),
    }.items():
        for outcome in outcomes:
            attempt(held, hotkey, outcome, blamed="miner")
    attempt(held, "too late ourselves", "unreachable")
    assert measured.online_in(722) == {
        ("none tested", TEST): None,
        ("all tested online", TEST): 4,
        ("half of the tested online", TEST): 3,
        ("no tested online", TEST): 0,
        ("too late ourselves", TEST): None,
    }


def test_only_a_complete_batch_that_counts_is_one() -> None:
    batch(None)
    batch(722, "interrupted")
    assert not measured.has_completed_a_batch()
    batch(1444)
    assert measured.has_completed_a_batch()


def test_a_miner_is_first_seen_once_and_answers_later() -> None:
    assert measured.known_miners(["a", "b"], 10)["a"].first_seen_block == 10
    measured.note_answers(["a"])
    known = measured.known_miners(["a", "c"], 20)
    assert {hotkey: one.first_seen_block for hotkey, one in known.items()} == {"a": 10, "c": 20}
    assert known["a"].answered_at is not None
    assert known["c"].answered_at is None
    assert MeasuredMiner.objects.count() == 3


def test_attempts_that_a_control_fault_explains_count_as_the_others() -> None:
    held = batch(10)
    for outcome in ("correct", "not_ready", "not_ready"):
        attempt(held, "a", outcome)
    Puzzle.objects.filter(pk=Puzzle.objects.filter(outcome="not_ready").first().pk).update(
        control_fault="registry"
    )
    assert measured.online_in(10) == {("a", TEST): 2}
