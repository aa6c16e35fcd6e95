"""Each stage of a cycle says what happened, what is wrong and what to do next."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from compute_horde.cycles import Cycle
from tests.validator.operators import cycles
from tests.validator.scores.cycles import CYCLE
from validator.operators import stages
from validator.operators.block_clock import BlockClock
from validator.receipts.models import IssuedReceipt, PageCheckpoint, Receipt, TransferStatus
from validator.receipts.pages import page_at
from validator.synthetic.models import Batch

pytestmark = pytest.mark.django_db

NOW = timezone.now()
BEFORE = BlockClock(CYCLE.start - 10, NOW, 360)
DURING = BlockClock(CYCLE.start + 10, NOW, 360)
AFTER = BlockClock(CYCLE.stop + cycles.LENGTH, NOW, 360)


def test_a_batch_to_come_has_a_time() -> None:
    assert f"planned from block {CYCLE.start}, about" in stages.batch_stage(CYCLE, BEFORE).upcoming
    slot = CYCLE.start + 20
    cycles.batch(state="planned", slot_block=slot, slot_until=slot + 9, slot_index=0, slot_count=3)
    stage = stages.batch_stage(CYCLE, DURING)
    assert f"It begins at block {slot}, about" in stage.upcoming
    assert dict(stage.facts)["place among validators"] == "1 of 3"
    assert (stage.problem, stage.next_step) == ("", "")


def test_a_cycle_without_a_batch_says_what_was_not_running() -> None:
    stage = stages.batch_stage(CYCLE, AFTER)
    assert (stage.state, stage.upcoming) == ("none", "")
    assert "validator worker" in stage.next_step


def test_a_batch_that_ran_shows_its_outcomes_and_links() -> None:
    batch = cycles.batch(ended_at=NOW, notes="3 not tested: cap")
    stage = stages.batch_stage(CYCLE, AFTER)
    facts = dict(stage.facts)
    assert facts["outcomes"] == "none"
    assert facts["note"] == "3 not tested: cap"
    assert {"began", "ended"} <= facts.keys()
    assert f"/admin/synthetic/batch/{batch.pk}/change/" in dict(stage.links).values()


@pytest.mark.parametrize("reason", Batch.Missed)
def test_every_reason_of_a_missed_batch_has_a_next_step(reason: Batch.Missed) -> None:
    cycles.batch(state="missed", missed_because=reason)
    stage = stages.batch_stage(CYCLE, AFTER)
    assert (stage.problem, bool(stage.next_step)) == (reason.value, True)


def test_receipts_of_the_cycle_are_counted_and_failures_named() -> None:
    since, until = NOW - timedelta(hours=2), NOW
    within, later = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    for moment in (within, later):
        IssuedReceipt.objects.create(
            job_uuid=uuid4(), receipt_type="JobStartedReceipt", miner_hotkey="m", issued_at=moment
        )
        Receipt.objects.create(
            job_uuid=uuid4(),
            receipt_type="JobFinishedReceipt",
            timestamp=moment,
            validator_signature=b"",
            miner_signature=b"",
            stored_at=moment,
        )
        PageCheckpoint.objects.create(
            miner_hotkey="m",
            page=page_at(moment.timestamp()),
            offset=0,
            given_up="page_too_long",
        )
    TransferStatus.objects.create(
        miner_hotkey="m", failed_at=within, problem="timed_out", changed_at=within
    )
    stage = stages.receipts_stage(since, until)
    facts = dict(stage.facts)
    assert (facts["issued here"], facts["fetched from miners"]) == ("1: 1 started", "1: 1 finished")
    assert "1 page_too_long" in stage.problem
    assert "1 timed_out" in stage.problem
    assert stage.next_step
    assert stages.receipts_stage(None, None).facts == ()
    assert dict(stages.receipts_stage(since, None).facts)["issued here"] == "2: 2 started"


def test_scores_say_who_earned_something() -> None:
    assert "It is scored from block" in stages.scores_stage(CYCLE, DURING).upcoming
    assert stages.scores_stage(CYCLE, AFTER).next_step
    cycles.scored(CYCLE.start, {"alice": {cycles.TEST: "1"}, "bob": {}})
    stage = stages.scores_stage(CYCLE, AFTER)
    assert dict(stage.facts)["miners"] == "1 of 2 earned something"
    assert dict(stage.facts)["formula"] == "jobs, parameters jobs-1"
    assert stage.problem == ""


def test_scores_of_nobody_are_a_problem() -> None:
    cycles.scored(CYCLE.start, {"bob": {}})
    stage = stages.scores_stage(CYCLE, AFTER)
    assert (stage.problem, bool(stage.next_step)) == ("Nobody earned anything", True)


def test_weights_show_each_transaction_and_the_verdict() -> None:
    assert "The window opens at block" in stages.weights_stage(CYCLE, DURING).upcoming
    assert stages.weights_stage(CYCLE, AFTER).next_step
    cycles.weights(CYCLE.start, state="published", block=9, outcome="accepted in block 9")
    stage = stages.weights_stage(CYCLE, AFTER)
    facts = dict(stage.facts)
    sent = facts[f"sent in block {CYCLE.stop + 400}"]
    assert f"included in block {CYCLE.stop + 402}, sealed until round 777" in sent
    assert facts["verdict"] == "open"
    assert "read back" in stage.upcoming


def test_weights_that_are_tried_say_when_next() -> None:
    cycles.weights(CYCLE.start, state="trying", next_try_block=5000, outcome="rate limit")
    stage = stages.weights_stage(CYCLE, AFTER)
    assert "The next try is at block 5000" in stage.upcoming
    assert stage.problem == "rate limit"


def test_the_work_of_a_cycle_is_paid_in_the_one_after_it() -> None:
    assert stages.following(Cycle(0, 722, 0)) == Cycle(722, 1444, 1)


def test_a_cycle_that_a_change_of_the_tempo_cut_says_where_its_work_is_paid() -> None:
    whole = cycles.scored(CYCLE.start - 30, {})
    cycles.weights(CYCLE.start - 30, state="published")
    for stage in (stages.scores_stage(CYCLE, AFTER), stages.weights_stage(CYCLE, AFTER)):
        blocks = f"blocks {whole.cycle_start} to {whole.cycle_stop - 1}"
        assert (stage.state, stage.problem) == (f"with {blocks}", "")
        assert dict(stage.links)[blocks] == f"/admin/scores/scoredcycle/{whole.pk}/change/"
    assert stages.weights_stage(Cycle(CYCLE.start - 30, CYCLE.stop, 0), AFTER).state == "published"


def test_the_batch_of_work_is_found_wherever_its_cycle_began() -> None:
    cycles.batch(CYCLE.start + 5)
    assert stages.batch_stage(CYCLE, AFTER).state == "done"
    assert stages.batch_stage(Cycle(CYCLE.start + 6, CYCLE.stop, 0), AFTER).state == "none"
