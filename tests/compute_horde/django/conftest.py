"""A database visible to other threads, and a way to break its connections."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import connection

from compute_horde.django import database

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def aside() -> psycopg.Connection:
    """A separate connection, outside Django."""
    options = connection.get_connection_params()
    wanted = ("dbname", "user", "password", "host", "port")
    return psycopg.connect(**{key: options[key] for key in wanted}, autocommit=True)


@pytest.fixture(autouse=True)
def _threads_end(transactional_db: None) -> Iterator[None]:
    yield
    database.close_threads()


@pytest.fixture
def break_connections() -> Iterator[Callable[[], int]]:
    """Ends every other connection to the database, like its restart; returns their number."""
    with aside() as line:

        def break_all() -> int:
            return len(line.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}").fetchall())

        yield break_all


@pytest.fixture
def count_connections() -> Iterator[Callable[[str], int]]:
    """Counts the other connections that match."""
    with aside() as line:
        yield lambda condition: line.execute(
            f"SELECT count(*) {OTHERS} AND {condition}"
        ).fetchone()[0]
