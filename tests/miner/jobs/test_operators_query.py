"""The query of the network's documents works, on new rows and on those from before the column."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from miner.jobs.models import Job

QUERY = "SELECT * FROM miner_acceptedjob ORDER BY id DESC"
BEFORE, NOW = [("jobs", "0002_cancelled")], [("jobs", "0003_operators_id")]


def accept(number: int) -> Job:
    return Job.objects.create(
        uuid=UUID(int=number), state="accepted", executor_token=str(number), validator_hotkey="v"
    )


def newest_first() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(QUERY)
        names = [column.name for column in cursor.description]
        return [row[names.index("uuid")].int for row in cursor.fetchall()]


@pytest.mark.django_db
def test_the_job_accepted_last_is_first() -> None:
    # Later jobs have smaller uuids, so that neither column can stand in for the other.
    for number in (9, 5, 1):
        accept(number)
    assert newest_first() == [1, 5, 9]


@pytest.fixture
def before_the_column() -> Iterator[None]:
    MigrationExecutor(connection).migrate(BEFORE)
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.mark.django_db(transaction=True)
def test_earlier_jobs_are_numbered_by_their_age(before_the_column: None) -> None:
    old = MigrationExecutor(connection).loader.project_state(BEFORE).apps.get_model("jobs", "Job")
    for number, hours in ((1, 1), (2, 3), (3, 2)):
        old.objects.create(
            uuid=UUID(int=number), state="accepted", executor_token=str(number), offer_digest="d"
        )
        created = timezone.now() - timedelta(hours=hours)
        old.objects.filter(pk=UUID(int=number)).update(created_at=created)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    accept(4)
    assert newest_first() == [4, 1, 3, 2]


@pytest.mark.django_db
def test_lists_and_the_query_use_an_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        for column in ("id", "created_at"):
            cursor.execute(f"EXPLAIN {QUERY.replace('BY id', f'BY {column}')} LIMIT 100")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Index Scan Backward" in plan, plan
