"""What is stored of a batch's attempts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from compute_horde.faults import Culprit
from compute_horde.protocol.job import JobAccepted, JobDeclined
from compute_horde.vocabulary import JobState, Party
from tests.peers.keys import VALIDATOR
from tests.validator.conftest import configured
from tests.validator.synthetic.making import attempt
from validator.jobs.models import Job, JobEvent
from validator.jobs.rules import budget
from validator.jobs.store import Event
from validator.receipts.models import IssuedReceipt
from validator.receipts.signing import JobReceiptSigner
from validator.synthetic import results
from validator.synthetic.attempts import Attempt
from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.outcomes import Outcome

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def begun() -> Batch:
    return Batch.objects.create(cycle_start=1, block=1, seed="s", alive_at=timezone.now())


def declined(number: int = 0) -> Attempt:
    """An attempt that a miner declined, with a started receipt."""
    one = attempt("5Miner", number)
    limits = budget(one.request, configured().timing)
    signer = JobReceiptSigner(one.request, "5Miner", VALIDATOR, limits, is_organic=False)
    one.receipts = [signer.sign_started_receipt(NOON)]
    message = JobDeclined(job_uuid=one.request.uuid, message="full")
    one.events = [Event(JobState.REJECTED, message, Party.MINER)]
    one.outcome, one.reason, one.blamed = Outcome.DECLINED_BUSY, "busy: full", Culprit.MINER
    one.points, one.excused, one.metrics = 1, True, {"seconds": 1.5}
    one.times.offered, one.times.finished = NOON, NOON + timedelta(seconds=1)
    one.loop_delay = 0.25
    return one


def test_an_attempt_is_stored_open_and_then_as_it_ended() -> None:
    one = declined()
    results.store_open(begun(), [one])
    row = Puzzle.objects.get()
    assert (row.outcome, row.hotkey, row.kind) == ("open", "5Miner", "hash")
    assert (row.job.state, row.job.wanted_miner) == ("received", "5Miner")
    results.store_ended([one])
    row = Puzzle.objects.get()
    assert (row.outcome, row.blamed, row.verdict) == ("declined_busy", "miner", "busy: full")
    assert (row.points, row.excused, row.metrics) == (1, True, {"seconds": 1.5})
    assert (row.offered_at, row.accepted_at) == (NOON, None)
    assert (row.finished_at, row.loop_delay_ms) == (NOON + timedelta(seconds=1), 250.0)
    assert row.job.state == "rejected"
    assert IssuedReceipt.objects.get().issued_at == NOON
    assert JobEvent.objects.get().said_by == "miner"


def test_to_store_twice_changes_nothing() -> None:
    one = declined()
    batch = begun()
    for _ in range(2):
        results.store_open(batch, [one])
    for _ in range(2):
        results.store_ended([one])
    counts = [model.objects.count() for model in (Puzzle, Job, JobEvent, IssuedReceipt)]
    assert counts == [1, 1, 1, 1]


def test_the_number_of_statements_does_not_grow_with_the_attempts() -> None:
    counts = []
    for many in (1, 100):
        made = [declined(number) for number in range(many)]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            batch = Batch.objects.create(block=1, seed="s", alive_at=timezone.now())
            results.store_open(batch, made)
            results.store_ended(made)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_more_attempts_than_one_transaction_takes_are_all_stored(monkeypatch) -> None:
    monkeypatch.setattr(results, "ATTEMPTS_AT_ONCE", 2)
    made = [declined(number) for number in range(5)]
    results.store_open(begun(), made)
    results.store_ended(made)
    assert Puzzle.objects.filter(outcome="declined_busy").count() == 5


def test_what_is_open_when_a_batch_breaks_is_nobodys_fault() -> None:
    batch, ended, still_open = begun(), declined(0), attempt("5Other", 1)
    results.store_open(batch, [ended, still_open])
    results.store_ended([ended])
    assert results.interrupt_open(batch, "The worker died") == 1
    rows = Puzzle.objects.order_by("hotkey").values_list("outcome", "blamed", "verdict", "points")
    assert list(rows) == [
        ("declined_busy", "miner", "busy: full", 1),
        ("interrupted", "nobody", "The worker died", 0),
    ]
    job = Job.objects.get(pk=still_open.request.uuid)
    assert job.state == "horde_failed"
    assert "The worker died" in job.events.get().body
    assert results.interrupt_open(batch, "again") == 0


def test_the_whole_course_of_a_job_is_stored() -> None:
    one = declined()
    accepted = JobAccepted(job_uuid=one.request.uuid)
    one.events = [Event(JobState.ACCEPTED, accepted, Party.MINER)]
    one.accepted_at = NOON
    limits = budget(one.request, configured().timing)
    signer = JobReceiptSigner(one.request, "5Miner", VALIDATOR, limits, is_organic=False)
    one.receipts = [
        signer.sign_accepted_receipt(NOON),
        signer.sign_finished_receipt(Decimal(1), NOON),
    ]
    results.store_open(begun(), [one])
    results.store_ended([one])
    job = Job.objects.get()
    assert (job.state, job.accepted_at, job.deadline) == ("accepted", NOON, None)
    scores = IssuedReceipt.objects.order_by("id").values_list("receipt_type", "score")
    assert list(scores) == [("JobAcceptedReceipt", None), ("JobFinishedReceipt", Decimal(1))]
