"""The queries that validators wait for use the indexes made for them."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from benchmarks.million_jobs.messages import EXECUTOR_CLASS
from benchmarks.million_jobs.miner_queries import VALIDATOR, rows
from miner.jobs import store
from miner.jobs.validator_sockets import Parties
from miner.receipts import store as receipts
from tests.query_plans import fill, without_their_index

pytestmark = pytest.mark.django_db

PARTIES = Parties("miner", VALIDATOR)
NOW = timezone.now()
OLD = NOW - timedelta(days=29)


def test_the_migrations_are_complete():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


QUERIES = [
    ("acceptedjob_by_state", lambda: store.unclosed(PARTIES, NOW)),
    ("acceptedjob_by_state", store.end_unfinished),
    ("miner_acceptedjob_created_at", lambda: store.evict(OLD)),
    ("receipt_that_excuses", lambda: receipts.find_excuses(EXECUTOR_CLASS, NOW)),
    ("miner_recei_page", lambda: receipts.page_size(1)),
]


def test_each_query_uses_its_index():
    fill(rows)
    assert without_their_index(QUERIES) == []
