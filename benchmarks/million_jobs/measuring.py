"""Times one call after another, each in a transaction that is rolled back."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

QUERY_MILLISECONDS = 20.0
ADMIN_MILLISECONDS = 300.0
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Case:
    """A call to time and its limit in milliseconds.

    Of a call that works through many rows in the background, `is_batch`, the limit is that of each
    of its statements.
    """

    name: str
    call: Callable[[], Any]
    limit: float = QUERY_MILLISECONDS
    is_batch: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that a call executed."""

    sql: str
    parameters: Any
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Median milliseconds of a call, and the statements of the run without delays by others."""

    case: Case
    milliseconds: float
    statements: Sequence[Statement]

    @property
    def slowest(self) -> float:
        """Milliseconds of the slowest statement."""
        return _slowest(self.statements)

    @property
    def is_over(self) -> bool:
        """Whether the call was slower than its limit."""
        return (self.slowest if self.case.is_batch else self.milliseconds) > self.case.limit


class _RolledBackError(Exception):
    """Ends the transaction of a measured call."""


def measure(case: Case) -> Measured:
    """Run a case `REPEATS` times after one that fills the caches."""
    _run(case)
    runs = [_run(case) for _ in range(REPEATS)]
    undisturbed = min((statements for _, statements in runs), key=_slowest)
    return Measured(case, statistics.median(taken for taken, _ in runs), undisturbed)


def _slowest(statements: Sequence[Statement]) -> float:
    return max((one.milliseconds for one in statements), default=0.0)


def _run(case: Case) -> tuple[float, list[Statement]]:
    statements: list[Statement] = []

    def record(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        start = time.perf_counter()
        try:
            return execute(sql, parameters, many, context)
        finally:
            taken = (time.perf_counter() - start) * 1000
            statements.append(Statement(sql, parameters, taken))

    taken = 0.0
    with suppress(_RolledBackError), transaction.atomic(), connection.execute_wrapper(record):
        start = time.perf_counter()
        case.call()
        taken = (time.perf_counter() - start) * 1000
        raise _RolledBackError
    return taken, statements


def report(measured: Sequence[Measured]) -> int:
    """Print the table, slowest first, and the plans of what is over its limit; the exit status."""
    print(f"\n{'ms':>8} {'slowest':>8} {'queries':>8} {'limit':>6}  what")
    for one in sorted(measured, key=lambda one: -one.milliseconds):
        mark = "  OVER" if one.is_over else ""
        print(
            f"{one.milliseconds:8.1f} {one.slowest:8.1f} {len(one.statements):8} "
            f"{one.case.limit:6.0f}  {one.case.name}{mark}"
        )
    over = [one for one in measured if one.is_over]
    for one in over:
        print(f"\n{one.case.name}: {one.milliseconds:.1f} ms")
        for statement in sorted(one.statements, key=lambda one: -one.milliseconds)[:2]:
            print(f"  {statement.milliseconds:.1f} ms: {str(statement.sql)[:2000]}")
            print(_plan(statement))
    return 1 if over else 0


def _plan(statement: Statement) -> str:
    lines: list[str] = []
    if "SAVEPOINT" in str(statement.sql):
        return ""
    with suppress(_RolledBackError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement.sql}", statement.parameters)
        lines = [f"    {line}"[:300] for (line,) in cursor.fetchall()]
        raise _RolledBackError
    return "\n".join(lines)
