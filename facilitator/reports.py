"""What validators report of their jobs: stored in batches, then told to the job's owner."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from compute_horde.django.database import in_database
from compute_horde.django.scribe import Scribe
from compute_horde.protocol.handshake import Response
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from facilitator import actions
from facilitator.logs import board
from facilitator.news import desk
from facilitator.rules import UNFINISHED

LINGER_SECONDS = 0.2
# What nobody waits for may wait for company.
PATIENT = frozenset(UNFINISHED) - {JobState.STREAMING_READY}

SUCCESS = Response(status="success")


@dataclass(frozen=True, slots=True)
class Report:
    """A status and the answer it will get; cancelled when it could not be stored."""

    status: StatusReported
    at: datetime = field(default_factory=timezone.now)
    answer: asyncio.Future[Response] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


Key = tuple[str, str]


def hear(hotkey: str, status: StatusReported) -> asyncio.Future[Response]:
    """Store a status that validator `hotkey` reports; its answer comes when that is done."""
    key, report = (status.uuid, hotkey), Report(status)
    scribe.hear(key, report)
    if status.status not in PATIENT:
        hurry = asyncio.ensure_future(scribe.settled(key))
        _hurries.add(hurry)
        hurry.add_done_callback(_hurries.discard)
    return report.answer


async def _write(key: Key, facts: list[Report]) -> None:
    uuid, hotkey = key
    try:
        statuses = [fact.status for fact in facts]
        told = await in_database(
            actions.record, uuid, hotkey, statuses, [fact.at for fact in facts]
        )
        if told is None:
            unknown = Response.refusal("job.not_found", f"Job {uuid} not found")
            _answer(facts, [unknown] * len(facts))
            return
        desk.tell(uuid, told)
        board.wake(uuid)
        taken = {id(one.report) for one in told}
        _answer(facts, [SUCCESS if id(s) in taken else _not_taken(s) for s in statuses])
    finally:
        for fact in facts:
            fact.answer.cancel()


def _answer(facts: list[Report], answers: list[Response]) -> None:
    for fact, answer in zip(facts, answers, strict=True):
        if not fact.answer.done():
            fact.answer.set_result(answer)


def _not_taken(status: StatusReported) -> Response:
    return Response.refusal(
        "job.integrity_error",
        f"Job {status.uuid} already has status {status.status} or another end",
    )


scribe: Scribe[Key, Report] = Scribe(_write, linger_seconds=LINGER_SECONDS)
_hurries: set[asyncio.Future[None]] = set()
