"""The validator's rows and queries."""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta

from django.test import RequestFactory

from benchmarks.million_jobs.filling import (
    DAYS,
    UNFINISHED_JOBS,
    Statement,
    hotkey,
    hotkey_sql,
    skewed,
    statement,
    unfinished_number,
    uuid_of,
)
from benchmarks.million_jobs.measuring import ADMIN_MILLISECONDS, Case
from benchmarks.million_jobs.messages import ACCEPTED, ENDED, FINISHED, NIL, REQUEST
from compute_horde.cycles import Cycle
from compute_horde.protocol.job import ExecutorReady
from compute_horde.vocabulary import JobState, Party
from validator import eviction, metrics
from validator.config import config
from validator.facilitator.waiting_statuses import Stored
from validator.jobs import actions, queries
from validator.jobs import store as job_store
from validator.jobs.models import Job
from validator.jobs.store import Event, Transition
from validator.network import actions as network
from validator.network import reasons
from validator.operators import points_chart, timeline
from validator.scores.collect import collect
from validator.synthetic import actions as synthetic
from validator.synthetic import attempts_table
from validator.synthetic.models import Batch

FIRST = JobState.RECEIVED
MINERS = 250
CYCLES = 300
METRICS_TOKEN = os.environ.get("VALIDATOR_METRICS_TOKEN", "")

_NETWORK = f"""
INSERT INTO network_neuron
    (hotkey, coldkey, uid, ip, port, stake_rao, registered, seen_at)
SELECT {hotkey_sql("M", "number")}, {hotkey_sql("C", "number")}, number, '1.2.3.4', 8000, 0, true,
    now() FROM generate_series(0, {MINERS}) AS number;
INSERT INTO network_manifest (hotkey, executor_class, count, heard_at)
SELECT {hotkey_sql("M", "number")}, class, 3, now()
FROM generate_series(0, {MINERS}) AS number,
    unnest(ARRAY['always_on.gpu-24gb', 'spin_up-4min.gpu-24gb']) AS class;
INSERT INTO network_snapshot (block, tempo, neurons, taken_at)
SELECT number, 360, 256, now() - interval '{DAYS} days' * (1 - number / 43200.0)
FROM generate_series(1, 43200) AS number;
INSERT INTO synthetic_batch (id, cycle_start, block, state, seed, started_at, alive_at, problem)
SELECT number, number * 722, number * 722, 'done', '',
    now() - interval '{DAYS} days' * (1 - number / {CYCLES}.0), now(), ''
FROM generate_series(1, {CYCLES}) AS number;
INSERT INTO weights_weightsset (cycle_start, earned_in, state, weights, attempts, outcome,
    next_try_block, is_computed, landing, landing_detail, landed_block)
SELECT number * 722, number * 722 - 722, 'published', '{{}}', 1, '', 0, true, 'landed', '',
    number * 722
FROM generate_series(1, {CYCLES}) AS number;
"""
_SCORES = f"""
INSERT INTO scores_scoredcycle (id, cycle_start, cycle_stop, formula, version, facts, parameters,
    computed_at)
SELECT number, number * 722, number * 722 + 722, 'jobs', 'jobs-1', '{{}}', '{{}}', now()
FROM generate_series({CYCLES} - %(cycles)s + 1, {CYCLES}) AS number;
INSERT INTO scores_score (cycle_id, hotkey, uid, share, u16, document, signature)
SELECT cycle, {hotkey_sql("M", "number")}, number, number / 32000.0, number * 200,
    '{{"items": [' || repeat('{{"executor_class": "always_on.gpu-24gb", "amount": "0.0001",
        "reason": "completed synthetic jobs", "number": "3", "unit": "jobs"}},', 8)
        || '{{"executor_class": null, "amount": "0"}}]}}', repeat('s', 130)
FROM generate_series({CYCLES} - %(cycles)s + 1, {CYCLES}) AS cycle,
    generate_series(0, {MINERS}) AS number
"""
# Every fourth job is synthetic; the newest ones, which are unfinished, are users'.
_JOB = f"""
INSERT INTO jobs_job (uuid, state, state_since, created_at, kind, executor_class, docker_image,
    spec, signatory, request_digest, nonce_digest, wanted_miner, miner, accepted_at, told)
SELECT uuid, state, state_since, created_at,
    CASE WHEN number %% 4 = 0 AND NOT is_unfinished THEN 'synthetic'
        WHEN number %% 1000 = 1 THEN 'admin' ELSE 'organic' END,
    'always_on.gpu-24gb', 'backenddevelopersltd/compute-horde-job:v' || number %% 20,
    replace(%(request)s, '{NIL}', uuid::text), {hotkey_sql("U", skewed(200))},
    md5('digest' || number) || md5(number::text), md5('nonce' || number), '',
    {hotkey_sql("M", f"number %% {MINERS}")}, created_at, NOT is_unfinished
FROM job
"""
_EVENT = f"""
INSERT INTO jobs_jobevent (job_id, state, body, said_by, created_at)
SELECT uuid, event.state, replace(event.body, '{NIL}', uuid::text), 'miner', state_since
FROM job CROSS JOIN LATERAL (VALUES
    ('accepted', %(accepted)s), ('executor_ready', %(accepted)s), (job.state, %(finished)s)
) AS event (state, body)
WHERE NOT is_unfinished OR event.state = 'accepted' ORDER BY number
"""
_RECEIPT = f"""
INSERT INTO receipts_issuedreceipt
    (job_uuid, receipt_type, interval, miner_hotkey, payload, signature, issued_at)
SELECT uuid, type, 0, {hotkey_sql("M", f"number %% {MINERS}")},
    replace(%(payload)s, '{NIL}', uuid::text), repeat('s', 130), created_at
FROM job,
    unnest(ARRAY['JobStartedReceipt', 'JobAcceptedReceipt', 'JobFinishedReceipt']) AS type
WHERE NOT is_unfinished OR type = 'JobStartedReceipt' ORDER BY number
"""
_PUZZLE = f"""
INSERT INTO synthetic_puzzle (batch_id, job_id, kind, seed, hotkey, executor_class, points, verdict)
SELECT 1 + number * ({CYCLES}::bigint - 1) / %(jobs)s, uuid, 'hash', '',
    {hotkey_sql("M", f"number %% {MINERS}")}, 'always_on.gpu-24gb',
    number %% 3 / 2, 'right'
FROM job WHERE number %% 4 = 0 AND NOT is_unfinished
"""


def rows(jobs: int) -> list[Statement]:
    """Statements that fill the tables."""
    return [
        (_NETWORK, {}),
        # Few of them with few jobs, so that filling is quick.
        *((sql, {"cycles": min(CYCLES, jobs // 500)}) for sql in _SCORES.split(";")),
        statement(_JOB, jobs, first=FIRST, request=REQUEST.encode()),
        statement(
            _EVENT, jobs, first=FIRST, accepted=ACCEPTED.encode(), finished=FINISHED.encode()
        ),
        statement(_RECEIPT, jobs, first=FIRST, payload=ENDED.model_dump_json()),
        statement(_PUZZLE, jobs, first=FIRST),
    ]


def _insert() -> None:
    uuid = "11111111-2222-4333-8444-555555555555"
    job = Job(
        uuid=uuid,
        kind=Job.Kind.ORGANIC,
        executor_class=REQUEST.executor_class,
        docker_image=REQUEST.docker_image,
        spec=REQUEST.encode(),
        request_digest="d" * 64,
        nonce_digest="n" * 64,
    )
    job_store.insert(job, Transition(uuid, FIRST, "", None))


def _record(uuid: str) -> None:
    message = ExecutorReady(job_uuid=uuid)
    event = Event(JobState.EXECUTOR_READY, message, Party.MINER)
    job_store.record(Transition(uuid, JobState.ACCEPTED, "", None, events=[event]))


def cases(jobs: int) -> Sequence[Case]:
    """Calls of all query functions."""
    unfinished = [uuid_of(number) for number in range(jobs - UNFINISHED_JOBS + 1, jobs + 1)]
    some, last = uuid_of(jobs // 2), unfinished[-1]
    accepted = uuid_of(unfinished_number(jobs, JobState.ACCEPTED, first=FIRST))
    miner = hotkey("M", jobs // 2 % MINERS)
    request = RequestFactory().get("/metrics", headers={"authorization": f"Bearer {METRICS_TOKEN}"})
    cycle = CYCLES // 2 * 722
    return [
        Case("allowed_signers", queries.allowed_signers),
        Case("binding_signers", queries.binding_signers),
        Case("unfinished, all known", lambda: queries.unfinished(unfinished)),
        Case("unfinished, one new", lambda: queries.unfinished(unfinished[1:])),
        Case("unfinished, 300 new", lambda: queries.unfinished([]), is_batch=True),
        Case("job", lambda: queries.job(last)),
        Case("cancel_requests", lambda: queries.cancel_requests(unfinished)),
        Case("stored_statuses", lambda: queries.stored_statuses(some)),
        Case("read_status", lambda: queries.read_status(Stored(some, JobState.COMPLETED))),
        Case("unacknowledged", queries.unacknowledged),
        Case("finished_receipt", lambda: queries.finished_receipt(some, miner)),
        Case("insert", _insert),
        Case("record", lambda: _record(accepted)),
        Case("mark_acknowledged", lambda: job_store.mark_acknowledged(unfinished[:50])),
        Case("create_admin_job", lambda: actions.create_admin_job(REQUEST, miner="")),
        Case("cancel", lambda: actions.cancel(last)),
        # One hour's jobs, some 1400 of a million.
        Case("evict", _evict(timedelta(days=DAYS, hours=-1)), is_batch=True),
        Case("evict, nothing old", _evict(timedelta(days=DAYS + 1)), is_batch=True),
        Case("fail_abandoned", synthetic.fail_abandoned),
        Case("latest_snapshot", lambda: network.latest_snapshot(timedelta(minutes=10))),
        Case("collect", lambda: collect(Cycle(cycle, cycle + 722, 1), 12), is_batch=True),
        Case("last_batch", lambda: list(reasons.last_batch(miner))),
        Case("last_weight", lambda: reasons.last_weight(miner)),
        *_pages(cycle),
        # A page for a monitoring system, read every minute or so.
        Case("metrics", lambda: metrics.page(request), limit=300),
    ]


def _pages(cycle: int) -> list[Case]:
    """What the pages of cycles and charts read, at their largest."""
    limit = ADMIN_MILLISECONDS
    share, points = points_chart.Measure
    most = points_chart.MOST_CYCLES, points_chart.MOST_MINERS
    largest = [points_chart.ChartChoice(measure, *most) for measure in (share, points)]
    usual = [points_chart.ChartChoice(measure) for measure in (share, points)]
    return [
        Case("cycles", timeline.lines, limit),
        Case("cycles, older", lambda: timeline.lines(cycle), limit),
        Case("a cycle", lambda: timeline.timeline(cycle, config), limit),
        Case("attempts of a batch", lambda: attempts_table.miners(Batch(pk=CYCLES // 2)), limit),
        Case("chart of shares", lambda: points_chart.chart(usual[0]), limit),
        Case("chart of shares, largest", lambda: points_chart.chart(largest[0]), limit * 3),
        Case("chart of points", lambda: points_chart.chart(usual[1]), limit),
        Case("chart of points, largest", lambda: points_chart.chart(largest[1]), limit * 3),
    ]


def _evict(keep: timedelta) -> Callable[[], object]:
    return lambda: eviction.evict(keep)


SEARCHES = {
    "jobs.Job": (
        f"?q={uuid_of(5)}",
        f"?q={hotkey('M', 3)}",
        f"?q={hotkey('U', 0)}",
        f"?q={hotkey('U', 7)}",
        "?q=nothing",
        "?state__exact=failed",
        "?state__exact=received",
        "?state__exact=streaming_ready",
        "?kind__exact=admin",
        "?executor_class__exact=always_on.llm.a6000",
        "?created_at__year=2026",
        "?p=20",
    ),
    "jobs.JobEvent": (
        f"?q={uuid_of(5)}",
        "?state__exact=rejected",
        "?state__exact=streaming_ready",
        "?said_by__exact=facilitator",
        "?created_at__gte=2026-11-20+00%3A00%3A00%2B00%3A00",
        "?p=20",
    ),
    "receipts.IssuedReceipt": (
        f"?q={uuid_of(5)}",
        f"?q={hotkey('M', 3)}",
        "?receipt_type__exact=JobIntervalReceipt",
        "?receipt_type__exact=JobFinishedReceipt",
        "?p=20",
    ),
    "synthetic.Puzzle": (
        f"?q={uuid_of(4)}",
        f"?q={hotkey('M', 4)}",
        "?q=nothing",
        "?points__exact=1",
        f"?batch__id__exact={CYCLES // 2}&outcome__exact=too_late",
    ),
}
