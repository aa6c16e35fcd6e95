"""Which indexes PostgreSQL uses for the queries of a call, with a few thousand jobs stored."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection, transaction

from benchmarks.million_jobs.filling import Statement

JOBS = 5000


def fill(rows: Callable[[int], Sequence[Statement]]) -> None:
    """Store `JOBS` jobs as the benchmark does."""
    with connection.cursor() as cursor:
        for statement, parameters in rows(JOBS):
            cursor.execute(statement, parameters)
        cursor.execute("ANALYZE")


def without_their_index(queries: Sequence[tuple[str, Callable[[], Any]]]) -> list[tuple[str, str]]:
    """The indexes that the plans of their calls do not name, each with these plans."""
    found = [(index, indexes_used(call)) for index, call in queries]
    return [(index, plans) for index, plans in found if index not in plans]


def indexes_used(call: Callable[[], Any]) -> str:
    """The plans of all SELECT, UPDATE and DELETE statements of `call`, without sequential scans.

    Tables as small as these would be read sequentially otherwise. What `call` changes is undone.
    """
    plans: list[str] = []

    def explain(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if str(sql).startswith(("SELECT", "UPDATE", "DELETE")):
            with context["connection"].cursor().cursor as cursor:
                cursor.execute(f"EXPLAIN {sql}", parameters)
                plans.extend(line for (line,) in cursor.fetchall())
        return execute(sql, parameters, many, context)

    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        with connection.execute_wrapper(explain):
            call()
        transaction.set_rollback(True)
    return "\n".join(plans)
