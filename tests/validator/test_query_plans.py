"""The queries that the listener waits for use the indexes made for them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command

from benchmarks.million_jobs.validator_queries import rows
from tests.query_plans import fill, indexes_used
from validator import eviction
from validator.jobs import queries

pytestmark = pytest.mark.django_db


def test_the_migrations_are_complete() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize(
    ("index", "call"),
    [
        ("job_by_state", lambda: queries.unfinished([])),
        ("untold_organic", queries.unacknowledged),
        ("jobs_job_created_at", lambda: eviction.evict(timedelta(days=29))),
    ],
)
def test_an_index_is_used(index: str, call: Callable[[], object]) -> None:
    fill(rows)
    assert index in indexes_used(call)
