"""Database writes of running jobs, one SQL statement each.

The task that runs a job is the only writer of its row and knows its state, so no row is locked or
read first: a conditional update changes the state, and events and receipts are inserted only if
the row was updated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from compute_horde import lifecycle
from compute_horde.protocol.message import Message
from compute_horde.receipts import JobFinishedReceipt, JobIntervalReceipt
from compute_horde.vocabulary import JobState, Party
from validator.jobs.models import Job, RefusedOffer
from validator.receipts.signing import SignedReceipt


@dataclass(frozen=True, slots=True)
class Event:
    """A message that changed the state of a job."""

    state: JobState
    message: Message
    sent_by: Party
    received_at: datetime = field(default_factory=timezone.now)


@dataclass(frozen=True, slots=True)
class Transition:
    """One write of a job: its state before, the events and receipts to add, its state after.

    `after` follows from `before` and the events. Raises `IllegalTransition` when the lifecycle
    does not allow them, so that no statement below can write a state that it does not know.
    """

    uuid: str
    before: JobState
    miner: str
    deadline: datetime | None
    accepted_at: datetime | None = None
    events: Sequence[Event] = ()
    receipts: Sequence[SignedReceipt] = ()
    after: JobState = field(init=False)

    def __post_init__(self) -> None:
        after = lifecycle.follow(self.before, (event.state for event in self.events))
        object.__setattr__(self, "after", after)


def merged(transitions: Sequence[Transition]) -> Transition:
    """Consecutive transitions of one job as a single one."""
    first, last = transitions[0], transitions[-1]
    return replace(
        last,
        before=first.before,
        events=[event for transition in transitions for event in transition.events],
        receipts=[receipt for transition in transitions for receipt in transition.receipts],
    )


_INSERT_RECEIPTS_AND_EVENTS = """
issued AS (
    INSERT INTO receipts_issuedreceipt
        (job_uuid, receipt_type, interval, miner_hotkey, score, payload, signature, issued_at)
    SELECT written.uuid, receipt.* FROM written, unnest(
        %(types)s::text[], %(intervals)s::integer[], %(miners)s::text[], %(scores)s::numeric[],
        %(payloads)s::text[], %(signatures)s::text[], %(moments)s::timestamptz[]
    ) AS receipt
    ON CONFLICT DO NOTHING
),
events AS (
    INSERT INTO jobs_jobevent (job_id, state, body, said_by, created_at)
    SELECT written.uuid, event.state, event.body, event.sent_by, event.received_at
    FROM written, unnest(
        %(states)s::text[], %(bodies)s::text[], %(parties)s::text[], %(received)s::timestamptz[]
    ) WITH ORDINALITY AS event (state, body, sent_by, received_at, ordinal)
    ORDER BY event.ordinal
)
SELECT count(*) FROM written
"""

_UPDATE = (
    """
WITH written AS (
    UPDATE jobs_job SET state = %(after)s, miner = %(miner)s,
        state_since = CASE state WHEN %(after)s THEN state_since ELSE %(now)s END,
        deadline = %(deadline)s, accepted_at = coalesce(%(accepted_at)s, accepted_at)
    WHERE uuid = %(uuid)s AND state = %(before)s RETURNING uuid
),"""  # noqa: S608
    + _INSERT_RECEIPTS_AND_EVENTS
)

_INSERT = (
    """
WITH written AS (
    INSERT INTO jobs_job (uuid, state, state_since, created_at, kind, executor_class,
        docker_image, spec, signatory, request_digest, nonce_digest, wanted_miner, miner,
        deadline, told)
    VALUES (%(uuid)s, %(after)s, %(now)s, %(now)s, %(kind)s, %(executor_class)s,
        %(docker_image)s, %(spec)s, %(signatory)s, %(request_digest)s, %(nonce_digest)s,
        %(wanted_miner)s, %(miner)s, %(deadline)s, false)
    ON CONFLICT DO NOTHING RETURNING uuid
),"""  # noqa: S608
    + _INSERT_RECEIPTS_AND_EVENTS
)


def add_refusals(rows: Sequence[RefusedOffer]) -> None:
    """Store that miners declined jobs, those that are not stored yet."""
    RefusedOffer.objects.bulk_create(rows, ignore_conflicts=True)


def insert(job: Job, transition: Transition) -> bool:
    """Store a new job; False when its uuid, its signature or its nonce is already known."""
    columns = {
        name: getattr(job, name)
        for name in (
            "kind", "executor_class", "docker_image", "spec", "signatory", "request_digest",
            "nonce_digest", "wanted_miner",
        )
    }  # fmt: skip
    return _write(_INSERT, transition, columns)


def record(transition: Transition) -> bool:
    """Write a transition; False when the row was not in the state `before`."""
    return _write(_UPDATE, transition, {})


def mark_acknowledged(uuids: Sequence[str]) -> None:
    """Store that the facilitator acknowledged the end of these jobs."""
    Job.objects.filter(pk__in=uuids).update(told=True)


def _write(statement: str, transition: Transition, columns: dict[str, Any]) -> bool:
    payloads = [receipt.payload for receipt in transition.receipts]
    values = columns | {
        "uuid": transition.uuid,
        "before": str(transition.before),
        "after": str(transition.after),
        "miner": transition.miner,
        "deadline": transition.deadline,
        "accepted_at": transition.accepted_at,
        "now": timezone.now(),
        "states": [str(event.state) for event in transition.events],
        "bodies": [event.message.encode() for event in transition.events],
        "parties": [str(event.sent_by) for event in transition.events],
        "received": [event.received_at for event in transition.events],
        "types": [payload.receipt_type for payload in payloads],
        "intervals": [getattr(payload, "interval", 0) for payload in payloads],
        "miners": [payload.miner_hotkey for payload in payloads],
        "scores": [
            payload.score_str
            if isinstance(payload, JobFinishedReceipt | JobIntervalReceipt)
            else None
            for payload in payloads
        ],
        "payloads": [payload.model_dump_json() for payload in payloads],
        "signatures": [receipt.signature for receipt in transition.receipts],
        "moments": [payload.timestamp for payload in payloads],
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return bool(row and row[0])
