"""The page `/health`: whether a service can work."""

import asyncio
import logging
import time

import psycopg
from django.http import HttpRequest, HttpResponse

from compute_horde.django.needs import database_problem
from compute_horde.django.notifications import connect

log = logging.getLogger(__name__)

ANSWER_SECONDS = 3.0
# The page is public, so a result is used for all requests within this time.
REMEMBERED_SECONDS = 1.0


class DatabaseHealth:
    """Whether the database answers, queried at most once a second."""

    def __init__(self) -> None:
        self._checked_at = float("-inf")
        self._problem: str | None = None
        self._check_task: asyncio.Task[None] | None = None

    async def problem(self) -> str | None:
        """What is wrong, in words that may be public; None when the database answers."""
        if self._check_task is None and time.monotonic() - self._checked_at > REMEMBERED_SECONDS:
            self._check_task = asyncio.create_task(self._check())
        if self._check_task:
            await asyncio.shield(self._check_task)
        return self._problem

    async def _check(self) -> None:
        try:
            problem, detail = await _query_database()
        finally:
            self._check_task = None
        self._checked_at = time.monotonic()
        if problem != self._problem:
            log.warning("health changed", extra={"health": problem or "ok", "detail": detail})
        self._problem = problem


async def _query_database() -> tuple[str | None, str]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS), await connect() as line:
            await line.execute("SELECT 1")
    except TimeoutError:
        return "the database does not answer", f"within {ANSWER_SECONDS:g} s"
    except psycopg.Error as exc:
        found = database_problem(exc)
        return f"the database {found.kind}", found.detail
    return None, ""


_database = DatabaseHealth()


async def page(request: HttpRequest) -> HttpResponse:
    """`/health`: 200 and `ok`, or 503 and the reason."""
    del request
    problem = await _database.problem()
    return HttpResponse(problem or "ok", status=503 if problem else 200, content_type="text/plain")
