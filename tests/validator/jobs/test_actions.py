"""What operators, users and scheduled processes change of jobs."""

import pytest

from compute_horde.lifecycle import FINAL
from compute_horde.vocabulary import JobState
from tests.peers.user import request
from validator.jobs import actions
from validator.jobs.live_job import LiveJob
from validator.jobs.models import AllowedSigner, BindingSigner, Job, KnownFacilitator

pytestmark = pytest.mark.django_db(transaction=True)

URL = "wss://facilitator.example/ws/v0/"


@pytest.fixture
def notified(monkeypatch) -> list[tuple[str, ...]]:
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(actions, "notify", lambda *given: sent.append(given))
    return sent


def stored(state: JobState = JobState.COMPLETED, kind: Job.Kind = Job.Kind.ORGANIC) -> Job:
    row = LiveJob(request(), kind).row(None)
    row.state = state
    row.save(force_insert=True)
    return row


def test_an_operator_s_job_waits_for_the_listener_that_is_notified(notified) -> None:
    order = request(signer=None)
    job = actions.create_admin_job(order, miner="5M")
    row = Job.objects.get()
    assert (str(row.pk), row.request) == (job.pk, order)
    assert (row.kind, row.state, row.wanted_miner) == ("admin", "received", "5M")
    assert notified == [(actions.CHANNEL, order.uuid)]


def test_a_job_is_asked_to_be_cancelled_once(notified) -> None:
    job = stored(JobState.ACCEPTED)
    assert actions.cancel(str(job.pk))
    first = Job.objects.get().cancel_asked_at
    assert first
    assert actions.cancel(str(job.pk))
    assert Job.objects.get().cancel_asked_at == first
    assert notified == [(actions.CHANNEL, str(job.pk))] * 2


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_job_that_has_ended_is_not_cancelled(state: JobState) -> None:
    job = stored(state)
    assert not actions.cancel(str(job.pk))
    assert Job.objects.get().cancel_asked_at is None


def test_every_job_gets_another_uuid() -> None:
    assert len({actions.new_uuid() for _ in range(100)}) == 100


def test_signers_and_facilitators_are_remembered_once() -> None:
    actions.allow_signers(["5A"], "first")
    actions.allow_signers(["5A", "5B"], "second")
    assert list(AllowedSigner.objects.order_by("hotkey").values_list("hotkey", "note")) == [
        ("5A", "first"),
        ("5B", "second"),
    ]
    assert not actions.has_offered_challenge(URL)
    for _ in range(2):
        actions.record_binding_signer("5A")
        actions.record_challenge(URL)
    assert BindingSigner.objects.get().hotkey == "5A"
    assert KnownFacilitator.objects.get().url == URL
    assert actions.has_offered_challenge(URL)
    assert not actions.has_offered_challenge("wss://another/")
