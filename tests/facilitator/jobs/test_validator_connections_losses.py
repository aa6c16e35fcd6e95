"""What is stored for a validator is sent, whatever breaks between its claim and its sending."""

import asyncio
import threading
import time

import pytest
from django.db import OperationalError

from compute_horde.django.database import in_database
from facilitator.jobs import store, submission, validator_connections
from facilitator.jobs.validator_connections import connections, deliver_pending
from facilitator.models import CheatReport
from tests.facilitator.jobs.test_store import VALIDATOR
from tests.facilitator.jobs.test_store import submission as new_submission


class ScriptedConnection:
    """A live connection that keeps what is sent on it."""

    hotkey = VALIDATOR
    address = ""
    is_proven = True
    extensions = frozenset()

    def __init__(self):
        self.name = connections.new_name()
        self.last_received = time.monotonic()
        self.sent = []
        self.answers_pings = True
        self.closed_with = None

    async def send_frame(self, frame):
        self.sent.append(frame)

    async def is_alive(self):
        return self.answers_pings

    async def terminate(self, code):
        connections.remove(self)
        self.closed_with = code


@pytest.fixture
def connection():
    live = ScriptedConnection()
    connections.add(live)
    yield live
    connections.remove(live)
    connections.forget(live)


def lose_first_outcome(monkeypatch, name):
    """Let the first call of a function of the store succeed and its connection break."""
    real, calls = getattr(store, name), []

    def losing(*args, **kwargs):
        outcome = real(*args, **kwargs)
        calls.append(outcome)
        if len(calls) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return outcome

    monkeypatch.setattr(store, name, losing)


async def store_report():
    """Store a job, a trusted job and a cheat report about them."""
    job, _ = await in_database(store.create, new_submission(), "gone")
    trusted, _ = await in_database(store.create, new_submission(), "gone")
    await in_database(
        CheatReport.objects.create, job=job, trusted_job_id=trusted.pk, message="report"
    )


async def test_a_cheat_report_on_a_broken_connection_is_sent_again(connection):
    connection.answers_pings = False
    await store_report()
    await deliver_pending(VALIDATOR)
    assert connection.sent.count("report") == 1
    assert connection.closed_with == validator_connections.CLOSE_CODE
    assert not (await in_database(CheatReport.objects.get)).is_told
    again = ScriptedConnection()
    connections.add(again)
    try:
        await deliver_pending(VALIDATOR)
        await deliver_pending(VALIDATOR)
    finally:
        connections.remove(again)
        connections.forget(again)
    assert again.sent.count("report") == 1
    assert (await in_database(CheatReport.objects.get)).is_told


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_job_whose_storing_was_not_confirmed_is_sent(connection, monkeypatch, key):
    lose_first_outcome(monkeypatch, "create")
    one = new_submission(idempotency_key=key)
    _, sent = await submission._store_and_deliver(one)
    assert sent is not None
    assert connection.sent == [one.frame]


async def test_a_job_whose_claim_was_not_confirmed_is_sent(connection, monkeypatch):
    one = new_submission()
    await in_database(store.create, one, "a connection that is gone")
    lose_first_outcome(monkeypatch, "claim_jobs")
    await deliver_pending(VALIDATOR)
    assert connection.sent == [one.frame]


async def test_claimed_jobs_are_sent_before_anything_else_can_fail(connection, monkeypatch):
    one = new_submission()
    await in_database(store.create, one, "a connection that is gone")

    def broken(*_):
        raise RuntimeError("bug")

    monkeypatch.setattr(store, "unsent_cheat_reports", broken)
    with pytest.raises(RuntimeError):
        await deliver_pending(VALIDATOR)
    assert connection.sent == [one.frame]


async def test_a_caller_that_gives_up_leaves_nothing_unsent(connection, monkeypatch):
    one = new_submission()
    job, _ = await in_database(store.create, new_submission(), connection.name)
    trusted, _ = await in_database(store.create, new_submission(), connection.name)
    await in_database(
        CheatReport.objects.create, job=job, trusted_job_id=trusted.pk, message="report"
    )
    await in_database(store.create, one, "a connection that is gone")
    claimed, go_on = threading.Event(), threading.Event()
    real = store.claim_jobs

    def slow(*args):
        frames = real(*args)
        claimed.set()
        go_on.wait(10)
        return frames

    monkeypatch.setattr(store, "claim_jobs", slow)
    caller = asyncio.create_task(deliver_pending(VALIDATOR))
    await asyncio.to_thread(claimed.wait, 10)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    go_on.set()
    await validator_connections._deliveries.wait(10)
    assert connection.sent == [one.frame, "report"]
    report = await in_database(CheatReport.objects.get)
    assert report.is_told
