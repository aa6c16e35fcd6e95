"""Limits on the jobs that one user has unfinished, and starts per minute."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from compute_horde.rate_limit import RateLimit
from facilitator.config import config
from facilitator.jobs import store
from facilitator.web.errors import ApiError
from facilitator.web.response_deadline import query_unless_late

# A job that ends only lowers the real number, so a count may be used for this long.
RECOUNT_SECONDS = 60.0
FULL_RETRY_SECONDS = 5


@dataclass(slots=True)
class _Remaining:
    """How many more jobs a user may start, as of `counted_at` (monotonic s)."""

    left: int
    counted_at: float


class UserQuota:
    """Enforces the quota of each user; the database is queried once in many jobs."""

    def __init__(self, in_flight: int, per_minute: int) -> None:
        self._in_flight = in_flight
        self._rate = RateLimit(per_minute)
        self._remaining: dict[str, _Remaining] = {}
        # Jobs being stored, which a count in the database may not include yet.
        self._starting: Counter[str] = Counter()
        self._counting: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def start(self, hotkey: str) -> AsyncIterator[None]:
        """Reserve room for the job that the block stores; `ApiError` 429 without any."""
        wait = self._rate.take(hotkey, time.monotonic())
        if wait:
            text = f"at most {self._rate.per_minute} jobs may be started per minute"
            raise _too_many(text, math.ceil(wait))
        lock = self._counting.setdefault(hotkey, asyncio.Lock())
        try:
            async with lock:
                await self._take(hotkey)
        finally:
            if not lock.locked():
                self._counting.pop(hotkey, None)
        try:
            yield
        finally:
            self._starting[hotkey] -= 1
            if not self._starting[hotkey]:
                del self._starting[hotkey]

    async def _take(self, hotkey: str) -> None:
        remaining, now = self._remaining.get(hotkey), time.monotonic()
        if remaining is None or remaining.left <= 0 or now - remaining.counted_at > RECOUNT_SECONDS:
            # Read before the rows are counted: a job may be counted twice, but never missed.
            starting = self._starting[hotkey]
            used = await query_unless_late(store.count_unfinished, hotkey) + starting
            remaining = self._remaining[hotkey] = _Remaining(self._in_flight - used, now)
        if remaining.left <= 0:
            text = (
                f"at most {self._in_flight} of your jobs may be in flight; "
                "start the next when one of them has ended"
            )
            raise _too_many(text, FULL_RETRY_SECONDS)
        remaining.left -= 1
        self._starting[hotkey] += 1


def _too_many(details: str, seconds: int) -> ApiError:
    body = {"error": "Too many jobs", "details": details}
    return ApiError(429, body, headers={"Retry-After": str(seconds)})


quota = UserQuota(config.max_jobs_in_flight, config.max_jobs_per_minute)
