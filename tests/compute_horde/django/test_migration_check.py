"""A database is compared with the migrations of the installed apps."""

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from compute_horde.django import migration_check
from compute_horde.django.database_address import connection_parameters
from compute_horde.errors import ConfigurationError


@pytest.fixture
def line() -> Iterator[psycopg.Connection]:
    """A connection whose changes are undone."""
    with psycopg.connect(**connection_parameters()) as line:
        yield line
        line.rollback()


def test_our_migrations_are_those_that_django_finds() -> None:
    ours = migration_check.ours()
    assert len(ours) == len(set(ours))
    assert set(ours) == MigrationLoader(connection).disk_migrations.keys()


def test_a_migrated_database_is_accepted(line: psycopg.Connection) -> None:
    migration_check.check(line, "miner")


def test_what_is_missing_is_counted_and_the_first_one_named(line: psycopg.Connection) -> None:
    line.execute("DELETE FROM django_migrations WHERE app = 'auth' AND name >= '0011'")
    first = "lacks 2 migrations, the first is auth.0011_update_proxy_permissions: run `python -m x "
    with pytest.raises(ConfigurationError, match=first):
        migration_check.check(line, "x")


def test_a_database_without_any_table_lacks_all(line: psycopg.Connection) -> None:
    line.execute("DROP TABLE django_migrations")
    everything = f"lacks {len(migration_check.ours())} migrations"
    with pytest.raises(ConfigurationError, match=everything):
        migration_check.check(line, "miner")


def test_migrations_of_apps_that_are_not_installed_do_not_matter(line: psycopg.Connection) -> None:
    insert = "INSERT INTO django_migrations (app, name, applied) VALUES (%s, '9999_x', now())"
    line.execute(insert, ("elsewhere",))
    migration_check.check(line, "miner")
    line.execute(insert, ("auth",))
    with pytest.raises(ConfigurationError, match=r"newer version, which knows auth\.9999_x"):
        migration_check.check(line, "miner")
