"""Writes of jobs: a new job once, a transition only from the state that it is from."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.lifecycle import FINAL, MAY_FOLLOW, IllegalTransition
from compute_horde.protocol.job import ExecutorReady, JobAccepted
from compute_horde.vocabulary import JobState, Party, ReceiptType
from tests.peers.keys import MINER, VALIDATOR
from tests.peers.user import request
from validator.config import config
from validator.jobs import rules, store
from validator.jobs.conversation import MinerContract
from validator.jobs.live_job import LiveJob
from validator.jobs.models import Job, JobEvent
from validator.jobs.store import Event, Transition, insert, mark_acknowledged, merged, record
from validator.receipts.models import IssuedReceipt

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HOTKEY = MINER.ss58_address
UUID = "00000000-0000-0000-0000-000000000001"


def contract(live: LiveJob) -> MinerContract:
    timing = rules.budget(live.request, config.timing)
    return MinerContract(live.request, HOTKEY, VALIDATOR, timing, is_organic=True)


def accepted(uuid: str) -> Event:
    return Event(JobState.ACCEPTED, JobAccepted(job_uuid=uuid), Party.MINER, NOW)


def ready(uuid: str) -> Event:
    return Event(JobState.EXECUTOR_READY, ExecutorReady(job_uuid=uuid), Party.EXECUTOR, NOW)


def inserted() -> LiveJob:
    live = LiveJob(request(), Job.Kind.ORGANIC)
    assert insert(live.row(f"digest of {live.uuid}"), live.transition())
    return live


def states_of(uuid: str) -> list[str]:
    return list(JobEvent.objects.filter(job_id=uuid).values_list("state", flat=True))


@pytest.mark.django_db
def test_a_new_job_is_stored_as_it_was_sent_with_its_receipt() -> None:
    live = LiveJob(request(), Job.Kind.ORGANIC, wanted_miner=HOTKEY)
    live.miner, live.deadline = HOTKEY, NOW
    started = contract(live).sign_started_receipt(NOW)
    assert insert(live.row("digest", "nonce"), live.transition(receipts=(started,)))
    row = Job.objects.get()
    assert (str(row.uuid), row.kind, row.state) == (live.uuid, "organic", "received")
    assert (row.request, row.signatory) == (live.request, live.signatory)
    assert (row.request_digest, row.nonce_digest) == ("digest", "nonce")
    assert (row.wanted_miner, row.miner, row.deadline, row.told) == (HOTKEY, HOTKEY, NOW, False)
    receipt = IssuedReceipt.objects.get()
    assert (receipt.receipt_type, receipt.score) == (ReceiptType.STARTED, None)
    assert (receipt.payload, receipt.signature) == (
        started.payload.model_dump_json(),
        started.signature,
    )


@pytest.mark.django_db
@pytest.mark.parametrize("same", ["uuid", "digest", "nonce"])
def test_a_job_a_signature_and_a_nonce_are_taken_once(same: str) -> None:
    first, second = (LiveJob(request(), Job.Kind.ORGANIC) for _ in range(2))
    if same == "uuid":
        second.request = second.request.model_copy(update={"uuid": first.uuid})
    digests = ["d", "d" if same == "digest" else "e"]
    nonces = ["n", "n" if same == "nonce" else "m"]
    assert insert(first.row(digests[0], nonces[0]), first.transition())
    started = contract(second).sign_started_receipt(NOW)
    transition = second.transition(accepted(second.uuid), receipts=(started,))
    assert not insert(second.row(digests[1], nonces[1]), transition)
    assert Job.objects.get().state == "received"
    assert not IssuedReceipt.objects.exists()
    assert not JobEvent.objects.exists()


@pytest.mark.django_db
def test_a_transition_writes_state_events_and_receipts_at_once() -> None:
    live = inserted()
    live.miner, live.deadline, live.accepted_at = HOTKEY, NOW, NOW
    finished = contract(live).sign_finished_receipt(Decimal("1.5"), NOW)
    assert record(live.transition(accepted(live.uuid), ready(live.uuid), receipts=(finished,)))
    row = Job.objects.get()
    assert (row.state, row.miner, row.accepted_at) == ("executor_ready", HOTKEY, NOW)
    events = JobEvent.objects.values_list("state", "said_by", "created_at", "body")
    assert list(events) == [
        ("accepted", "miner", NOW, JobAccepted(job_uuid=live.uuid).encode()),
        ("executor_ready", "executor", NOW, ExecutorReady(job_uuid=live.uuid).encode()),
    ]
    assert IssuedReceipt.objects.get().score == Decimal("1.5")


@pytest.mark.django_db
def test_a_row_in_another_state_is_left_alone() -> None:
    live = inserted()
    uuid = live.uuid
    finished = contract(live).sign_finished_receipt(Decimal(1), NOW)
    late = Transition(
        uuid, JobState.ACCEPTED, "m", None, events=(ready(uuid),), receipts=(finished,)
    )
    assert not record(late)
    unknown = Transition(request().uuid, JobState.RECEIVED, "m", None)
    assert not record(unknown)
    row = Job.objects.get()
    assert (row.state, row.miner, states_of(uuid)) == ("received", "", [])
    assert not IssuedReceipt.objects.exists()


@pytest.mark.django_db
def test_a_write_that_moves_no_state_keeps_its_time_and_when_the_job_was_accepted() -> None:
    live = inserted()
    before = Job.objects.get().state_since
    live.accepted_at = NOW
    assert record(live.transition())
    live.accepted_at = None
    assert record(live.transition())
    row = Job.objects.get()
    assert (row.state_since, row.accepted_at) == (before, NOW)
    assert record(live.transition(accepted(live.uuid)))
    assert Job.objects.get().state_since > before


@pytest.mark.django_db
def test_a_receipt_is_kept_once() -> None:
    live = inserted()
    finished = contract(live).sign_finished_receipt(Decimal(1), NOW)
    again = contract(live).sign_finished_receipt(Decimal(2), NOW + timedelta(seconds=1))
    for issued in (finished, again):
        assert record(live.transition(receipts=(issued,)))
    assert IssuedReceipt.objects.get().signature == finished.signature


@pytest.mark.django_db
def test_only_the_acknowledged_are_marked() -> None:
    one, other = inserted(), inserted()
    mark_acknowledged([one.uuid])
    assert Job.objects.get(told=True).pk == Job.objects.get(pk=one.uuid).pk
    assert not Job.objects.get(pk=other.uuid).told


def test_no_transition_is_made_that_the_lifecycle_forbids() -> None:
    uuid = request().uuid
    with pytest.raises(IllegalTransition):
        Transition(uuid, JobState.RECEIVED, "", None, events=(ready(uuid),))


@st.composite
def walks(draw: st.DrawFn) -> tuple[JobState, list[list[JobState]]]:
    """A state and the states after it, cut into pieces."""
    state = before = draw(st.sampled_from(sorted(MAY_FOLLOW)))
    pieces: list[list[JobState]] = [[]]
    while state not in FINAL and draw(st.booleans()):
        state = draw(st.sampled_from(sorted(MAY_FOLLOW[state])))
        pieces[-1].append(state)
        if draw(st.booleans()):
            pieces.append([])
    return before, pieces


@given(walks())
def test_merged_transitions_are_one_with_all_their_events(walk) -> None:
    before, pieces = walk
    transitions, state = [], before
    for number, states in enumerate(pieces):
        events = [Event(one, JobAccepted(job_uuid=UUID), Party.MINER) for one in states]
        transitions.append(Transition(UUID, state, f"miner {number}", None, events=events))
        state = transitions[-1].after
    one = merged(transitions)
    assert (one.before, one.after) == (before, state)
    assert [event.state for event in one.events] == [s for states in pieces for s in states]
    assert one.miner == transitions[-1].miner
    assert store.merged([one]) == one
