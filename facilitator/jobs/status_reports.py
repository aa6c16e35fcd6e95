"""Status reports of validators: stored in batches, then published to the jobs' owners."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from compute_horde.concurrency.batch_writer import BatchWriter
from compute_horde.concurrency.task_set import TaskSet
from compute_horde.django.database import in_database
from compute_horde.protocol.handshake import Response
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from facilitator.jobs import store
from facilitator.jobs.rules import UNFINISHED
from facilitator.jobs.status_feed import feed_registry
from facilitator.logs.ingest import reader_registry

LINGER_SECONDS = 0.2
# Statuses that may wait `LINGER_SECONDS` to share a transaction with others.
MAY_LINGER = frozenset(UNFINISHED) - {JobState.STREAMING_READY}

SUCCESS = Response(status="success")


@dataclass(frozen=True, slots=True)
class Report:
    """A status and its response to the validator; cancelled when it could not be stored."""

    status: StatusReported
    received_at: datetime = field(default_factory=timezone.now)
    answer: asyncio.Future[Response] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


Key = tuple[str, str]


def enqueue(hotkey: str, status: StatusReported) -> asyncio.Future[Response]:
    """Queue a status reported by validator `hotkey`; the future is set once it is stored."""
    key, report = (status.uuid, hotkey), Report(status)
    writer.put(key, report)
    if status.status not in MAY_LINGER:
        _flushes.spawn(writer.flush(key))
    return report.answer


async def _write(key: Key, reports: list[Report]) -> None:
    uuid, hotkey = key
    try:
        statuses = [report.status for report in reports]
        stored = await in_database(
            store.record_statuses,
            uuid,
            hotkey,
            statuses,
            [report.received_at for report in reports],
        )
        if stored is None:
            unknown = Response.refusal("job.not_found", f"Job {uuid} not found")
            _set_answers(reports, [unknown] * len(reports))
            return
        feed_registry.publish(uuid, stored)
        reader_registry.notify(uuid)
        stored_ids = {id(event.report) for event in stored}
        _set_answers(reports, [SUCCESS if id(s) in stored_ids else _conflict(s) for s in statuses])
    finally:
        for report in reports:
            report.answer.cancel()


def _set_answers(reports: list[Report], answers: list[Response]) -> None:
    for report, answer in zip(reports, answers, strict=True):
        if not report.answer.done():
            report.answer.set_result(answer)


def _conflict(status: StatusReported) -> Response:
    return Response.refusal(
        "job.integrity_error",
        f"Job {status.uuid} already has status {status.status} or another final status",
    )


writer: BatchWriter[Key, Report] = BatchWriter(_write, linger_seconds=LINGER_SECONDS)
_flushes = TaskSet()
