"""What the listener writes: one statement per write, since every job pays for each of them.

The conductor of a job is the only writer of its row and knows its state, so no row is locked or
read first: a conditional update moves it, and what hangs on it is written only if it moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from compute_horde.protocol.message import Message
from compute_horde.receipts import JobFinishedReceipt, JobIntervalReceipt
from compute_horde.vocabulary import JobState, Party
from validator.jobs.conversation import Issued
from validator.jobs.models import Job


@dataclass(frozen=True, slots=True)
class Fact:
    """A message that moved a job."""

    state: JobState
    message: Message
    said_by: Party
    heard_at: datetime = field(default_factory=timezone.now)


@dataclass(frozen=True, slots=True)
class Move:
    """One write: where the job was, what was heard and issued, where it is now."""

    uuid: str
    before: JobState
    after: JobState
    miner: str
    deadline: datetime | None
    accepted_at: datetime | None = None
    facts: Sequence[Fact] = ()
    receipts: Sequence[Issued] = ()


def merged(moves: Sequence[Move]) -> Move:
    """Moves that follow each other, as one."""
    first, last = moves[0], moves[-1]
    return replace(
        last,
        before=first.before,
        facts=[fact for move in moves for fact in move.facts],
        receipts=[issued for move in moves for issued in move.receipts],
    )


_ISSUED = """
issued AS (
    INSERT INTO receipts_issuedreceipt
        (job_uuid, receipt_type, interval, miner_hotkey, score, payload, signature, issued_at)
    SELECT touched.uuid, told.* FROM touched, unnest(
        %(types)s::text[], %(intervals)s::integer[], %(miners)s::text[], %(scores)s::numeric[],
        %(payloads)s::text[], %(signatures)s::text[], %(moments)s::timestamptz[]
    ) AS told
    ON CONFLICT DO NOTHING
),
heard AS (
    INSERT INTO jobs_jobevent (job_id, state, body, said_by, created_at)
    SELECT touched.uuid, fact.state, fact.body, fact.said_by, fact.heard_at FROM touched, unnest(
        %(states)s::text[], %(bodies)s::text[], %(parties)s::text[], %(heard)s::timestamptz[]
    ) WITH ORDINALITY AS fact (state, body, said_by, heard_at, place)
    ORDER BY fact.place
)
SELECT count(*) FROM touched
"""

_MOVE = (
    """
WITH touched AS (
    UPDATE jobs_job SET state = %(after)s, miner = %(miner)s,
        state_since = CASE state WHEN %(after)s THEN state_since ELSE %(now)s END,
        deadline = %(deadline)s, accepted_at = coalesce(%(accepted_at)s, accepted_at)
    WHERE uuid = %(uuid)s AND state = %(before)s RETURNING uuid
),"""  # noqa: S608
    + _ISSUED
)

_INSERT = (
    """
WITH touched AS (
    INSERT INTO jobs_job (uuid, state, state_since, created_at, kind, executor_class,
        docker_image, spec, signatory, request_digest, wanted_miner, miner, deadline, told)
    VALUES (%(uuid)s, %(after)s, %(now)s, %(now)s, %(kind)s, %(executor_class)s,
        %(docker_image)s, %(spec)s, %(signatory)s, %(request_digest)s, %(wanted_miner)s,
        %(miner)s, %(deadline)s, false)
    ON CONFLICT DO NOTHING RETURNING uuid
),"""  # noqa: S608
    + _ISSUED
)


def insert(job: Job, move: Move) -> bool:
    """Store a new job; False when its uuid or its signature is already known."""
    columns = {
        name: getattr(job, name)
        for name in (
            "kind", "executor_class", "docker_image", "spec", "signatory", "request_digest",
            "wanted_miner",
        )
    }  # fmt: skip
    return _write(_INSERT, move, columns)


def record(move: Move) -> bool:
    """Write what happened; False when the row was not where we left it."""
    return _write(_MOVE, move, {})


def acknowledged(uuids: Sequence[str]) -> None:
    """The facilitator knows how these jobs ended."""
    Job.objects.filter(pk__in=uuids).update(told=True)


def _write(statement: str, move: Move, columns: dict[str, Any]) -> bool:
    payloads = [issued.payload for issued in move.receipts]
    values = columns | {
        "uuid": move.uuid,
        "before": str(move.before),
        "after": str(move.after),
        "miner": move.miner,
        "deadline": move.deadline,
        "accepted_at": move.accepted_at,
        "now": timezone.now(),
        "states": [str(fact.state) for fact in move.facts],
        "bodies": [fact.message.encode() for fact in move.facts],
        "parties": [str(fact.said_by) for fact in move.facts],
        "heard": [fact.heard_at for fact in move.facts],
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
        "signatures": [issued.signature for issued in move.receipts],
        "moments": [payload.timestamp for payload in payloads],
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return bool(row and row[0])
