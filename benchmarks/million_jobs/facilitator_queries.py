"""The facilitator's rows and queries."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from benchmarks.million_jobs.filling import (
    Statement,
    hotkey,
    hotkey_sql,
    skewed,
    statement,
    uuid_of,
)
from benchmarks.million_jobs.measuring import Case
from benchmarks.million_jobs.messages import NIL, REQUEST
from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.protocol.job import CheatReported
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from facilitator.jobs import cancellation, store
from facilitator.jobs.client_features import ClientFeatures
from facilitator.jobs.store import JobSubmission
from facilitator.logs import store as log_store
from facilitator.web.errors import ApiError

SENT = JobState.SENT
HEAVY, ORDINARY, VALIDATOR = hotkey("U", 0), hotkey("U", 7), hotkey("V", 0)

_PEOPLE = f"""
INSERT INTO facilitator_validator (hotkey, is_active, version, conflicts, last_conflict)
SELECT {hotkey_sql("V", "number")}, true, '', 0, '' FROM generate_series(0, 8) AS number
"""
_USERS = f"""
INSERT INTO facilitator_allowedhotkey (hotkey, note, created_at)
SELECT {hotkey_sql("U", "number")}, '', now() FROM generate_series(0, 200) AS number
"""
# Of the heavy user's jobs most have one of ten tags, and a few old ones a tag of their own.
_JOB = f"""
INSERT INTO facilitator_job (uuid, state, state_since, created_at, hotkey, validator_id, request,
    tag, on_trusted_miner, digest, request_nonce, idempotency_key, body_hash, taken_by, overdue_at,
    cancel_request, cancel_asked_at, cancel_told_to)
SELECT uuid, state, state_since, created_at, {hotkey_sql("U", skewed(200))},
    {hotkey_sql("V", "CASE WHEN number %% 3 < 2 THEN 0 ELSE number %% 9 END")},
    replace(%(request)s, '{NIL}', uuid::text),
    CASE WHEN number < 40 THEN 'rare' WHEN number %% 3 = 0 THEN '' ELSE 'tag' || number %% 10 END,
    number %% 50 = 1, md5(number::text) || md5('digest' || number), md5('nonce' || number),
    CASE WHEN number %% 4 = 0 THEN 'key' || number END, md5('body' || number), 'connection',
    created_at + interval '1 hour',
    CASE WHEN state = 'cancelled' THEN 'cancel' ELSE '' END,
    CASE WHEN state = 'cancelled' THEN state_since END,
    CASE WHEN state = 'cancelled' THEN 'connection' ELSE '' END
FROM job
"""
_EVENT = """
INSERT INTO facilitator_jobevent (job_id, state, body, created_at)
SELECT uuid, event.state, replace(replace(%(body)s, '{NIL}', uuid::text), '"sent"',
    '"' || event.state || '"'), state_since
FROM job CROSS JOIN LATERAL (
    SELECT unnest(CASE WHEN is_unfinished THEN ARRAY['sent', 'received']
        ELSE ARRAY['sent', 'received', 'accepted', job.state] END) AS state
) AS event
ORDER BY number
""".replace("{NIL}", NIL)
_PIECE = """
INSERT INTO facilitator_jobpiece (job_id, number, position, "end", source_end, stream, text, is_gap)
SELECT uuid, piece, piece * 200, piece * 200 + 200, piece * 200 + 200, 'stdout', repeat('x', 200),
    false
FROM job CROSS JOIN generate_series(0, 1) AS piece WHERE number %% 2 = 0
"""
_CHEAT = """
INSERT INTO facilitator_cheatreport (job_id, trusted_job_id, message, is_told, created_at)
SELECT uuid, md5('job1')::uuid, 'report', true, state_since FROM job WHERE number %% 1000 = 2
"""


def rows(jobs: int) -> list[Statement]:
    """Statements that fill the tables."""
    body = StatusReported(uuid=NIL, status=SENT).encode()
    return [
        (_PEOPLE, {}),
        (_USERS, {}),
        statement(_JOB, jobs, first=SENT, request=REQUEST.encode()),
        statement(_EVENT, jobs, first=SENT, body=body),
        statement(_PIECE, jobs, first=SENT),
        statement(_CHEAT, jobs, first=SENT),
    ]


def _submission(key: str | None) -> JobSubmission:
    uuid = "11111111-2222-4333-8444-555555555555"
    request = REQUEST.model_copy(update={"uuid": uuid})
    overdue_at = timezone.now() + timedelta(hours=1)
    return JobSubmission(
        HEAVY, VALIDATOR, request, request.encode(), "tag1", "d" * 64, "b" * 64, key, overdue_at
    )


def _lists(user: str, name: str) -> list[Case]:
    own = store.own_jobs
    return [
        Case(f"own_jobs, {name}", lambda: own(user, [], None, first=0, size=10)),
        Case(f"own_jobs, {name}, tag", lambda: own(user, [], "tag2", first=0, size=10)),
        Case(f"own_jobs, {name}, rare tag", lambda: own(user, [], "rare", first=0, size=10)),
        Case(f"own_jobs, {name}, no tag", lambda: own(user, [], "", first=0, size=10)),
        Case(f"own_jobs, {name}, page 200", lambda: own(user, [], None, first=1990, size=10)),
        Case(f"own_jobs, {name}, page 5000", lambda: own(user, [], None, first=49990, size=10)),
    ]


def _evict(days: int) -> Case:
    keep, day = timedelta(days=days), timedelta(days=1)
    return Case(
        f"evict, kept {days} days",
        lambda: store.evict(now=timezone.now(), keep=keep, keep_nonces=day),
        is_batch=True,
    )


def cases(jobs: int) -> Sequence[Case]:
    """Calls of all query functions."""
    client, now = ClientFeatures(frozenset()), timezone.now()
    last, some = uuid_of(jobs), uuid_of(jobs // 2 + jobs // 2 % 2)
    grace = timedelta(seconds=60)
    validator = hotkey("V", 0 if jobs % 3 < 2 else jobs % 9)
    report = StatusReported(uuid=last, status=JobState.COMPLETED)
    output = OutputPrinted(job_uuid=some, stream="stdout", offset=400, text="x")
    four = [UUID(uuid_of(number)) for number in range(jobs - 4, jobs)]
    waiting = [uuid_of(number) for number in range(max(0, jobs - 512), jobs)]
    seven = [uuid_of(number) for number in range(jobs - 7, jobs)]
    return [
        Case("count_unfinished", lambda: store.count_unfinished(HEAVY)),
        Case("use_nonce", lambda: store.use_nonce("n")),
        Case("find_earlier", lambda: store.find_earlier(_submission("key4x"))),
        Case("create", lambda: store.create(_submission("new"), "c")),
        Case("own_job", lambda: store.own_job(some, HEAVY, client)),
        Case("own_statuses", lambda: store.own_statuses(some, HEAVY)),
        Case("latest_events, 512", lambda: store.latest_events(waiting)),
        *_lists(HEAVY, "heavy user"),
        *_lists(ORDINARY, "ordinary user"),
        Case("own_jobs, by UUIDs", lambda: store.own_jobs(HEAVY, seven, None, first=0, size=10)),
        Case("job_views_json, 4", lambda: store.job_views_json(four, client)),
        Case(
            "record_statuses",
            lambda: store.record_statuses(last, validator, [report], [now]),
        ),
        Case("claim_jobs", lambda: store.claim_jobs(VALIDATOR, "c", ["c"], 100), is_batch=True),
        Case("report_cheat, unknown job", _report_unknown_cheat),
        Case("unsent_cheat_reports", lambda: store.unsent_cheat_reports(VALIDATOR, 100)),
        Case("validators", store.validators),
        Case(
            "find_stuck_jobs",
            lambda: store.find_stuck_jobs(absent=[VALIDATOR], now=now, grace_period=grace),
        ),
        _evict(29),
        _evict(31),
        Case("find_own_job", lambda: cancellation.find_own_job(some, HEAVY)),
        Case("store_request", lambda: cancellation.store_request(last, HEAVY, "frame")),
        Case("claim_requests", lambda: cancellation.claim_requests(VALIDATOR, "c", ["other"], 100)),
        Case("append", lambda: log_store.append(some, VALIDATOR, [output], 10**6)),
        Case("read_page", lambda: log_store.read_page(some, HEAVY, 100)),
    ]


def _report_unknown_cheat() -> None:
    report = CheatReported.model_construct(job_uuid=NIL, trusted_job_uuid=NIL)
    with suppress(ApiError):
        store.report_cheat(HEAVY, report)


SEARCHES = {
    "facilitator.Job": (
        f"?q={uuid_of(5)}",
        f"?q={HEAVY}",
        f"?q={ORDINARY}",
        "?q=rare",
        "?q=nothing",
        "?state__exact=failed",
        "?state__exact=sent",
        "?state__exact=streaming_ready",
        "?on_trusted_miner__exact=1",
        f"?validator__hotkey__exact={hotkey('V', 4)}",
        "?p=20",
    ),
    "facilitator.CheatReport": (f"?q={uuid_of(5)}",),
}
