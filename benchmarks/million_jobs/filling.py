"""Generates rows by SQL, the same in every run; job number 1 is the oldest."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from typing import Any
from uuid import UUID

from compute_horde import lifecycle
from compute_horde.vocabulary import JobState

DAYS = 30
UNFINISHED_JOBS = 300
# Half of the jobs belong to user 0, half of them to validator 0, and so on.
USERS = 200

# The columns of `job`, a row for each job: its number, UUID, state and times.
JOBS = f"""
WITH job AS (
    SELECT number, md5('job' || number)::uuid AS uuid,
        now() - interval '{DAYS} days' * (1 - number / %(jobs)s::float) AS created_at,
        now() - interval '{DAYS} days' * (1 - number / %(jobs)s::float)
            + interval '60 s' AS state_since,
        CASE
            WHEN number > %(jobs)s - {UNFINISHED_JOBS}
                THEN (%(unfinished)s::text[])[1 + number %% array_length(%(unfinished)s::text[], 1)]
            WHEN number %% 100 < 90 THEN 'completed'
            WHEN number %% 100 < 95 THEN 'failed'
            WHEN number %% 100 < 98 THEN 'horde_failed'
            WHEN number %% 100 < 99 THEN 'rejected'
            ELSE 'cancelled'
        END AS state,
        number > %(jobs)s - {UNFINISHED_JOBS} AS is_unfinished
    FROM generate_series(1, %(jobs)s) AS number
)
"""

Statement = tuple[str, dict[str, Any]]


def statement(text: str, jobs: int, *, first: JobState, **parameters: Any) -> Statement:
    """`text`, which reads `job`, with its parameters; unfinished states begin at `first`."""
    return JOBS + text, {"jobs": jobs, "unfinished": _states(first), **parameters}


def _states(first: JobState) -> list[str]:
    unfinished = lifecycle.UNFINISHED
    return [str(state) for state in unfinished[unfinished.index(first) :]]


def unfinished_number(jobs: int, state: JobState, *, first: JobState) -> int:
    """The number of the newest job in an unfinished state."""
    states = _states(first)
    return next(number for number in range(jobs, 0, -1) if states[number % len(states)] == state)


def uuid_of(number: int) -> str:
    """The UUID of a job by its number."""
    return str(UUID(md5(f"job{number}".encode(), usedforsecurity=False).hexdigest()))


def hotkey(role: str, number: int | str) -> str:
    """The hotkey of a user, validator or miner by its number."""
    return f"5{role}{number:0>46}"


def hotkey_sql(role: str, expression: str) -> str:
    """`hotkey` as an SQL expression."""
    return f"('5{role}' || lpad(({expression})::text, 46, '0'))"


def skewed(count: int) -> str:
    """An SQL expression from 0 to `count`: 0 for every second job."""
    return f"CASE WHEN number %% 2 = 0 THEN 0 ELSE 1 + number / 2 %% {count} END"


@contextmanager
def without_indexes(cursor: Any) -> Iterator[None]:
    """Drop indexes and unique constraints while the block inserts rows; check no references."""
    cursor.execute("SET session_replication_role = replica")
    cursor.execute("SET maintenance_work_mem = '256MB'")
    cursor.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
    cursor.execute("SELECT pg_reload_conf()")
    cursor.execute(
        """
        SELECT format('ALTER TABLE %%I DROP CONSTRAINT %%I', rel.relname, conname),
            format('ALTER TABLE %%I ADD CONSTRAINT %%I %%s', rel.relname, conname,
                pg_get_constraintdef(con.oid))
        FROM pg_constraint AS con JOIN pg_class AS rel ON rel.oid = conrelid
        WHERE contype = 'u' AND connamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('DROP INDEX %%I', rel.relname), pg_get_indexdef(rel.oid)
        FROM pg_index JOIN pg_class AS rel ON rel.oid = indexrelid
        WHERE relnamespace = 'public'::regnamespace AND NOT indisprimary AND NOT EXISTS (
            SELECT FROM pg_constraint WHERE conindid = indexrelid
        )
        """.replace("%%", "%")
    )
    indexes = cursor.fetchall()
    for drop, _ in indexes:
        cursor.execute(drop)
    yield
    for _, create in indexes:
        cursor.execute(create)
    cursor.execute("SET session_replication_role = origin")
