"""The queries that the listener waits for use the indexes made for them."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from benchmarks.million_jobs.validator_queries import rows
from tests.query_plans import fill, without_their_index
from validator import eviction
from validator.jobs import queries
from validator.operators import timeline
from validator.receipts import queries as receipts
from validator.receipts.busy import KnownReceipt
from validator.scores.collect import organic_jobs, time_of

pytestmark = pytest.mark.django_db

NOW = timezone.now()
PUBLISHED = """
INSERT INTO receipts_receipt
    (job_uuid, receipt_type, interval, miner_hotkey, validator_hotkey, timestamp, valid_until,
     executor_class, score, payload, validator_signature, miner_signature, stored_at)
SELECT gen_random_uuid(), kind, 0, 'miner' || number % 50, 'v', now() - number * interval '1 s',
    CASE kind WHEN 'JobStartedReceipt' THEN now() - number * interval '1 s' + interval '7 s' END,
    '', NULL, '{}', '', '', now()
FROM generate_series(1, 3000) AS number,
    unnest(ARRAY['JobStartedReceipt', 'JobFinishedReceipt']) AS kind
"""


def test_the_migrations_are_complete() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


OF_JOBS = [
    ("job_by_state", lambda: queries.unfinished([])),
    ("untold_organic", queries.unacknowledged),
    ("completed_organic", lambda: list(organic_jobs(NOW, NOW + timedelta(seconds=1)))),
    ("jobs_job_created_at", lambda: eviction.evict(timedelta(days=29))),
]


def test_each_query_uses_its_index() -> None:
    fill(rows)
    assert without_their_index(OF_JOBS) == []


OF_RECEIPTS = [
    ("receipt_holding_executor", lambda: receipts.receipts_valid_at("m", NOW, "v")),
    ("receipt_holding_executor", lambda: trusted_receipts()),
    # Receipts of other validators are not even looked at, however many there are.
    (
        "Index Cond: (((miner_hotkey)::text = 'm'::text) AND ((validator_hotkey)::text = ANY",
        lambda: trusted_receipts(),
    ),
    ("issued_to_miner", lambda: receipts.receipts_valid_at("m", NOW, "v")),
    ("receipt_earning", lambda: receipts.receipts_earned(NOW, NOW, "v", miner="m")),
    ("receipts_receipt_timestamp", lambda: receipts.receipts_earned(NOW, NOW, "v")),
    ("receipts_receipt_timestamp", lambda: eviction.evict(timedelta(days=29))),
]


def test_receipts_are_found_by_their_indexes() -> None:
    publish_many()
    assert without_their_index(OF_RECEIPTS) == []


OF_CYCLES = [
    ("snapshot_by_block", lambda: time_of(43000)),
    ("weights_by_paid_cycle", lambda: timeline.lines(7220)),
]


def test_pages_of_cycles_use_their_indexes() -> None:
    assert without_their_index(OF_CYCLES) == []


def trusted_receipts() -> list[KnownReceipt]:
    return receipts.receipts_valid_at("m", NOW, "v", trusted={"t"}, executor_class="c")


def publish_many() -> None:
    with connection.cursor() as cursor:
        cursor.execute(PUBLISHED)
        cursor.execute("ANALYZE receipts_receipt")
