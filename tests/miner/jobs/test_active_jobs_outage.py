"""A database that is away for long costs neither a result nor an executor."""

import asyncio
import threading

import pytest
from django.db import InterfaceError, OperationalError

from compute_horde.django import database
from compute_horde.django.database import in_database
from compute_horde.protocol.job import (
    ExecutionDone,
    JobDeclined,
    JobFinished,
    VolumesReady,
)
from miner.jobs import active_jobs, intake, store
from miner.jobs.models import Job
from tests.miner.conftest import accepted, record


async def test_what_could_not_be_written_at_first_is_written_before_what_follows(
    run_miner, monkeypatch
):
    back, tried = threading.Event(), threading.Event()
    write = store.write

    def away(*args):
        if not back.is_set():
            tried.set()
            raise OperationalError("away for over a minute")
        return write(*args)

    monkeypatch.setattr(store, "write", away)
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(database, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(active_jobs, "LINGER_SECONDS", 0.01)
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        assert await asyncio.to_thread(tried.wait, 30)
        await validator.send(validator.payload(uuid))
        await executor.receive()
        await executor.send(VolumesReady(job_uuid=uuid))
        await executor.send(ExecutionDone(job_uuid=uuid))
        finished = JobFinished(
            job_uuid=uuid, docker_process_stdout="out", docker_process_stderr="", artifacts={}
        )
        await executor.send(finished)
        back.set()
        received = [type(await validator.receive()) for _ in range(3)]
        assert received == [VolumesReady, ExecutionDone, JobFinished]
        row = await record(uuid)
        assert (row.state, row.stdout) == ("completed", "out")
        states = await in_database(lambda: list(row.events.values_list("state", flat=True)))
        assert states[0] == "accepted"
        assert states[-1] == "completed"


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, RuntimeError])
async def test_a_job_that_cannot_be_stored_gives_its_executor_back(run_miner, monkeypatch, error):
    async def database(work, *args, **kwargs):
        if work is store.store:
            raise error("connection already closed")
        return await in_database(work, *args, **kwargs)

    monkeypatch.setattr(intake, "in_database", database)
    async with run_miner() as it:
        await it.executor()
        validator = await it.validator()
        await validator.send(validator.offer())
        if error is not RuntimeError:
            assert isinstance(await validator.receive(), JobDeclined)
        async with asyncio.timeout(10):
            while len(it.miner.active_jobs) or any(
                one.assignment for one in it.miner.pool.executors
            ):
                await asyncio.sleep(0.01)
        assert await in_database(Job.objects.count) == 0
