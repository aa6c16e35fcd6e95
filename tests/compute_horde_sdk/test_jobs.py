"""Waiting for a job: every status once, in order, whatever happens to the connection."""

import asyncio

import pytest

from compute_horde_sdk.client import EXAMPLE_UUID
from compute_horde_sdk.facilitator import http, job_updates
from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.v1 import (
    ComputeHordeError,
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeJobTimeoutError,
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    RequestRefused,
)
from compute_horde_sdk.v1 import ComputeHordeJobStatus as S
from tests.compute_horde_sdk.pretend import GOES_WELL, ON_THE_WAY, finished, steps
from tests.eventually import eventually

ALL = ["sent", *ON_THE_WAY, "completed"]
SERVER = {
    "streaming_details": {
        "streaming_server_cert": "PEM",
        "streaming_server_address": "192.0.2.7",
        "streaming_server_port": 8443,
    }
}
FAILURE = {
    "job_failure_details": {
        "reason": "nonzero_return_code",
        "stage": "execution",
        "message": "exit status 3",
        "docker_process_exit_status": 3,
        "docker_process_stdout": "so far",
        "docker_process_stderr": "oops",
    }
}
HORDE = {
    "horde_failure_details": {
        "reason": "executor_disconnected",
        "message": "m",
        "reported_by": "miner",
    }
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(job_updates, "FIRST_POLL_SECONDS", 0.02)
    monkeypatch.setattr(job_updates, "LONGEST_POLL_SECONDS", 0.05)
    monkeypatch.setattr(http, "wait_before_next", lambda attempt: 0.01)
    monkeypatch.setattr(job_updates, "wait_before_next", lambda attempt: 0.01)


def words(job):
    return [entry.status.value for entry in job.status_history]


class RecordingCallback(list):
    """A status callback that records the statuses."""

    def __call__(self, job, entry):
        assert job.status_history[len(self)] is entry
        self.append(entry.status.value)


@pytest.mark.parametrize("pushes", [True, False], ids=["pushed", "polled"])
@pytest.mark.parametrize("pace", [0.0, 0.03])
async def test_a_job_is_waited_for_and_every_status_told_once(client, server, spec, pushes, pace):
    server.pushes = pushes
    server.script = steps(*ON_THE_WAY, end=(pace, "completed", finished()), pace=pace)
    statuses = RecordingCallback()
    job = await client.create_job(spec)
    await job.wait(30, statuses)
    assert statuses == words(job) == ALL
    assert job.status is S.COMPLETED
    assert job.error is None
    assert job.result.stdout == "hi\n"


async def test_a_pushed_ending_needs_no_further_request(client, server, spec):
    server.script = steps(
        *ON_THE_WAY, end=(0.05, "completed", finished(artifacts={"/a/b": "eA=="}))
    )
    job = await client.create_job(spec)
    await job.wait(30)
    assert job.result.artifacts == {"/a/b": b"x"}
    assert [one[1] for one in server.seen("GET /api")] == [f"/api/v1/jobs/{job.uuid}/events"]


async def test_a_callback_may_be_async(client, spec):
    statuses = []

    async def note(job, entry):
        await asyncio.sleep(0)
        statuses.append(entry.status)

    await (await client.create_job(spec)).wait(status_callback=note)
    assert statuses == ALL


async def test_a_callback_s_own_error_is_not_mistaken_for_the_deadline(client, spec):
    def late(job, entry):
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine") as caught:
        await (await client.create_job(spec)).wait(30, late)
    assert not isinstance(caught.value, ComputeHordeJobTimeoutError)


async def test_a_second_wait_returns_at_once_and_repeats_nothing(client, spec):
    statuses = RecordingCallback()
    job = await client.create_job(spec)
    await job.wait(30, statuses)
    await job.wait(30, statuses)
    assert statuses == ALL


async def test_a_wait_that_ran_out_says_so_and_can_go_on(client, server, spec):
    server.script = steps("received")
    statuses = RecordingCallback()
    job = await client.create_job(spec)
    with pytest.raises(ComputeHordeJobTimeoutError, match=f"{job.uuid}.*received") as caught:
        await job.wait(1, statuses)
    assert isinstance(caught.value, TimeoutError)
    assert job.status is S.RECEIVED
    stored = server.jobs[job.uuid]
    stored.history.append(stored.history[0] | {"status": "completed", "metadata": finished()})
    await job.wait(30, statuses)
    assert statuses == ["sent", "received", "completed"]


async def test_a_broken_stream_is_taken_up_where_it_broke(client, server, spec):
    server.stream_breaks = [1, 0, 2]
    server.script = steps(*ON_THE_WAY, end=(0.03, "completed", finished()), pace=0.03)
    statuses = RecordingCallback()
    job = await client.create_job(spec)
    await job.wait(30, statuses)
    assert statuses == words(job) == ALL
    assert server.resumed_from[:2] == [None, "1"]
    assert len(server.resumed_from) >= 3


async def test_a_stream_that_stops_talking_is_not_believed(client, server, spec, monkeypatch):
    monkeypatch.setattr(job_updates, "SAFETY_POLL_SECONDS", 0.1)
    server.script = steps(*ON_THE_WAY)
    job = await client.create_job(spec)
    waiting = asyncio.create_task(job.wait(30))
    await eventually(lambda: words(job) == ALL[:-1])
    # The final status is stored without waking the event streams.
    stored = server.jobs[job.uuid]
    stored.history.append(
        stored.history[0] | {"status": "completed", "metadata": finished("late\n")}
    )
    await waiting
    assert words(job) == ALL
    assert job.result.stdout == "late\n"


async def test_a_facilitator_without_stream_is_asked_for_it_once(client, server, spec):
    server.pushes = False
    for _ in range(2):
        await (await client.create_job(spec)).wait(30)
    assert len([one for one in server.requests if one[1].endswith("/events")]) == 1


@pytest.mark.parametrize("status", [405, 501])
async def test_a_refused_stream_means_polling(client, server, spec, status):
    job = await client.create_job(spec)
    server.faults[f"GET /api/v1/jobs/{job.uuid}/events"] = [status]
    await job.wait(30)
    assert words(job) == ALL
    assert client.facilitator.pushes is False


async def test_an_expired_token_does_not_end_the_wait(client, server, spec):
    server.script = steps(*ON_THE_WAY, end=(0.05, "completed", finished()), pace=0.05)
    server.stream_breaks = [2]
    job = await client.create_job(spec)
    server.token = "token-2"
    await job.wait(30)
    assert words(job) == ALL
    assert server.logins == 2


async def test_a_facilitator_that_is_away_for_a_while_is_waited_for(client, server, spec):
    job = await client.create_job(spec)
    server.faults["GET /api/v1/jobs"] = [503] * 12
    await job.wait(30)
    assert words(job) == ALL


async def test_a_facilitator_that_stays_away_ends_the_wait(client, server, spec, monkeypatch):
    monkeypatch.setattr(job_updates, "MAX_OUTAGE_SECONDS", 0.3)
    job = await client.create_job(spec)
    server.faults["GET /api/v1/jobs"] = ["drop"] * 10_000
    async with asyncio.timeout(30):
        with pytest.raises(FacilitatorUnreachable, match=f"compute-horde job {job.uuid}"):
            await job.wait()


async def test_a_refusal_ends_the_wait_at_once(client, server, spec):
    job = await client.create_job(spec)
    server.faults["GET /api/v1/jobs"] = [403] * 3
    with pytest.raises(RequestRefused):
        await job.wait(30)


async def test_a_job_that_is_gone_ends_the_wait(client, server, spec):
    server.script = steps("received")
    job = await client.create_job(spec)
    server.jobs.clear()
    with pytest.raises(ComputeHordeNotFoundError):
        await job.wait(30)
    assert client.facilitator.pushes


@pytest.mark.parametrize(
    ("status", "metadata", "kind"),
    [
        (
            "rejected",
            {"job_rejection_details": {"reason": "busy", "message": "m", "rejected_by": "miner"}},
            ComputeHordeJobRejection,
        ),
        ("failed", FAILURE, ComputeHordeJobFailure),
        ("horde_failed", HORDE, ComputeHordeHordeFailure),
        # Published validators report their own failures like this.
        ("failed", HORDE, ComputeHordeHordeFailure),
    ],
)
async def test_what_went_wrong_is_told(client, server, spec, status, metadata, kind):
    server.script = steps("received", end=(0, status, metadata))
    job = await client.create_job(spec)
    await job.wait(30)
    assert job.status.value == status
    assert job.status.is_failed()
    assert isinstance(job.error, kind)
    assert job.error.reason
    assert job.result is not None


async def test_a_failed_job_s_output_is_its_result(client, server, spec):
    server.script = steps("received", end=(0, "failed", FAILURE))
    job = await client.create_job(spec)
    await job.wait(30)
    found = await client.get_job(job.uuid)
    for one in (job, found):
        assert (one.result.stdout, one.result.stderr) == ("so far", "oops")
        assert one.error.docker_process_exit_status == 3


async def test_streaming_is_waited_for(client, server, spec):
    server.script = [
        *steps("received", "accepted", pace=0.02),
        (0.02, "streaming_ready", SERVER),
    ]
    job = await client.create_job(spec)
    await job.wait_for_streaming(10)
    assert job.status.is_streaming_ready()
    assert job.streaming_server_address == "192.0.2.7"
    assert job.streaming_server_port == 8443
    assert job.streaming_server_cert == "PEM"


@pytest.mark.parametrize("pushes", [True, False])
async def test_streaming_that_is_over_already_is_not_missed(client, server, spec, pushes):
    server.pushes = pushes
    server.script = [(0, "streaming_ready", SERVER), *GOES_WELL[-2:]]
    job = await client.create_job(spec)
    await eventually(lambda: server.jobs[job.uuid].ended)
    await job.wait_for_streaming(10)
    assert job.streaming_server_port == 8443


@pytest.mark.parametrize("end", [("failed", FAILURE), ("completed", finished())])
async def test_waiting_for_streaming_ends_with_the_job(client, server, spec, end):
    server.script = steps("received", end=(0.02, *end))
    job = await client.create_job(spec)
    with pytest.raises(ComputeHordeError, match=f"{end[0]} without streaming"):
        await job.wait_for_streaming()


async def test_waiting_for_streaming_runs_out(client, server, spec):
    server.script = steps("received")
    job = await client.create_job(spec)
    with pytest.raises(ComputeHordeJobTimeoutError, match="start streaming"):
        await job.wait_for_streaming(0.1)


async def test_a_refresh_shows_where_the_job_stands(client, server, spec):
    job = await client.create_job(spec)
    await eventually(lambda: server.jobs[job.uuid].ended)
    await job.refresh_from_facilitator()
    assert words(job) == ALL
    assert job.result.stdout == "hi\n"
    assert repr(job) == f"<ComputeHordeJob: {job.uuid!r}>"


def entry(status, second):
    return {"status": status, "created_at": f"2026-01-01T00:00:{second:02}Z", "metadata": None}


def test_what_is_known_stays_and_what_is_new_is_added(client):
    job = ComputeHordeJob.from_answer(
        client, {"uuid": EXAMPLE_UUID, "status_history": [entry("sent", 0), entry("accepted", 2)]}
    )
    late = [entry("sent", 0), entry("received", 1), entry("accepted", 2), entry("accepted", 3)]
    job.update_from({"status_history": late})
    assert words(job) == ["sent", "accepted", "received", "accepted"]
    job.update_from({"status_history": late[:1]})
    assert len(job.status_history) == 4


def test_an_ended_job_stays_ended_and_unknown_statuses_are_passed_over(client):
    history = [entry("sent", 0), entry("completed", 1), entry("volumes_ready", 2), entry("new", 3)]
    job = ComputeHordeJob.from_answer(client, {"uuid": EXAMPLE_UUID, "status_history": history})
    assert job.status is S.COMPLETED
    assert words(job) == ["sent", "completed", "volumes_ready"]


def test_a_job_without_status_is_an_error(client):
    job = ComputeHordeJob.from_answer(client, {"uuid": EXAMPLE_UUID, "status_history": []})
    with pytest.raises(ComputeHordeError, match="no status"):
        _ = job.status
