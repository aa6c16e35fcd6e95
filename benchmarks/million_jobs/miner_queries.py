"""The miner's rows and queries."""

from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from benchmarks.million_jobs.filling import (
    DAYS,
    Statement,
    hotkey,
    hotkey_sql,
    statement,
    unfinished_number,
    uuid_of,
)
from benchmarks.million_jobs.measuring import Case
from benchmarks.million_jobs.messages import (
    ACCEPTED,
    EXECUTOR_CLASS,
    FINISHED,
    NIL,
    REQUEST,
    STARTED,
)
from compute_horde.protocol.job import ExecutorReady
from compute_horde.receipts import Receipt
from compute_horde.vocabulary import JobState
from miner.jobs import store
from miner.jobs.models import Job
from miner.jobs.validator_sockets import Parties
from miner.receipts import store as receipts
from miner.receipts.rules import page_at
from miner.validators import actions as validators

FIRST = JobState.RECEIVED
VALIDATOR = hotkey("V", 0)
_VALIDATOR_SQL = hotkey_sql("V", "CASE WHEN number %% 3 < 2 THEN 0 ELSE number %% 9 END")
_RECEIPT_BODY = Receipt(payload=STARTED, validator_signature="v" * 130, miner_signature="m" * 130)

_VALIDATORS = f"""
INSERT INTO miner_validator (hotkey, active, pinned, refreshed_at)
SELECT {hotkey_sql("V", "number")}, true, false, now() FROM generate_series(0, 8) AS number
"""
_JOB = f"""
INSERT INTO miner_acceptedjob (uuid, id, state, state_since, created_at, validator_hotkey,
    executor_class, executor_token, offer_digest, docker_image, offered, payload, exit_status,
    stdout, stderr, error_type, error_detail, time_took)
SELECT uuid, number, state, state_since, created_at, {_VALIDATOR_SQL}, 'always_on.gpu-24gb',
    md5(number::text) || md5('token' || number), md5('digest' || number),
    'backenddevelopersltd/compute-horde-job:v' || number %% 20, %(request)s, '', 0,
    repeat('x', 200), '', '', '', interval '30 s'
FROM job
"""
_EVENT = f"""
INSERT INTO miner_jobevent (job_id, state, body, created_at)
SELECT uuid, event.state, replace(event.body, '{NIL}', uuid::text), state_since
FROM job CROSS JOIN LATERAL (VALUES
    ('accepted', %(accepted)s), ('executor_ready', %(accepted)s), (job.state, %(finished)s)
) AS event (state, body)
WHERE NOT is_unfinished OR event.state = 'accepted' ORDER BY number
"""
_RECEIPT = f"""
INSERT INTO miner_receipt (job_uuid, receipt_type, interval, validator_hotkey, timestamp,
    executor_class, excuses_until, page, body, stored_at)
SELECT uuid, type, 0, {_VALIDATOR_SQL}, created_at,
    CASE type WHEN 'JobStartedReceipt' THEN 'always_on.gpu-24gb' ELSE '' END,
    CASE type WHEN 'JobStartedReceipt' THEN created_at + interval '60 s' END,
    extract(epoch FROM created_at)::bigint / 300, replace(%(body)s, '{NIL}', uuid::text), created_at
FROM job,
    unnest(ARRAY['JobStartedReceipt', 'JobAcceptedReceipt', 'JobFinishedReceipt']) AS type
WHERE NOT is_unfinished OR type = 'JobStartedReceipt' ORDER BY number
"""


def rows(jobs: int) -> list[Statement]:
    """Statements that fill the tables."""
    return [
        (_VALIDATORS, {}),
        statement(_JOB, jobs, first=FIRST, request=REQUEST.encode()),
        statement(
            _EVENT, jobs, first=FIRST, accepted=ACCEPTED.encode(), finished=FINISHED.encode()
        ),
        statement(_RECEIPT, jobs, first=FIRST, body=_RECEIPT_BODY.model_dump_json()),
        (f"SELECT setval('miner_acceptedjob_id_seq', {jobs})", {}),
    ]


def _store() -> None:
    uuid = "11111111-2222-4333-8444-555555555555"
    store.store(
        Job(
            uuid=uuid,
            state=FIRST,
            validator_hotkey=VALIDATOR,
            executor_class=EXECUTOR_CLASS,
            executor_token="t",
            offer_digest="d",
            offered="{}",
        )
    )


def cases(jobs: int) -> Sequence[Case]:
    """Calls of all query functions."""
    some, now = uuid_of(jobs // 2), timezone.now()
    accepted = uuid_of(unfinished_number(jobs, JobState.ACCEPTED, first=FIRST))
    ready = ExecutorReady(job_uuid=accepted)
    page = page_at(now - timedelta(days=DAYS / 2))
    parties = Parties("", VALIDATOR)
    keep, nothing_old = now - timedelta(days=DAYS, hours=-1), now - timedelta(days=DAYS + 1)
    return [
        Case("store", _store),
        Case("find", lambda: store.find(some)),
        Case("write", lambda: store.write(JobState.ACCEPTED, [ready], {})),
        Case("unclosed", lambda: store.unclosed(parties, now - timedelta(minutes=10))),
        Case("messages_of", lambda: store.messages_of(some)),
        Case("end_unfinished", store.end_unfinished, is_batch=True),
        # One hour's jobs, some 1400 of a million.
        Case("evict", lambda: store.evict(keep), is_batch=True),
        Case("evict, nothing old", lambda: store.evict(nothing_old), is_batch=True),
        Case("store of receipts", lambda: receipts.store([_RECEIPT_BODY])),
        Case("find_excuses", lambda: receipts.find_excuses(EXECUTOR_CLASS, now)),
        Case("page_body", lambda: receipts.page_body(page)),
        Case("page_size", lambda: receipts.page_size(page)),
        Case("evict of receipts", lambda: receipts.evict(keep), is_batch=True),
        Case("evict of receipts, nothing old", lambda: receipts.evict(nothing_old), is_batch=True),
        Case("validators", validators._read_rows),
    ]


SEARCHES = {
    "jobs.Job": (
        f"?q={uuid_of(5)}",
        f"?q={VALIDATOR}",
        f"?q={hotkey('V', 4)}",
        "?q=job:v3",
        "?q=nothing",
        "?state__exact=failed",
        "?state__exact=received",
        "?state__exact=streaming_ready",
        "?executor_class__exact=always_on.llm.a6000",
        f"?validator_hotkey__exact={hotkey('V', 4)}",
        "?p=20",
    ),
    "receipts.Receipt": (
        f"?q={uuid_of(5)}",
        f"?q={VALIDATOR}",
        "?receipt_type__exact=JobIntervalReceipt",
        "?receipt_type__exact=JobFinishedReceipt",
        "?executor_class__exact=always_on.gpu-24gb",
        "?p=20",
    ),
}
