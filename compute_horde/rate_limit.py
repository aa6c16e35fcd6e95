"""A rate limit for each of many keys (token bucket); pure, and bounded in memory."""

from collections.abc import Hashable
from dataclasses import dataclass

# Keys that are remembered; those with a full allowance are dropped first.
MAX_KEYS = 10_000


@dataclass(slots=True)
class _Bucket:
    """The remaining allowance of one key, which grows with time."""

    left: float
    counted_at: float


class RateLimit:
    """At most `burst` at once, and `per_minute` in the long run, for each key.

    Times are seconds of a monotonic clock.
    """

    def __init__(self, per_minute: float, burst: float | None = None) -> None:
        self.per_minute = per_minute
        self._burst = per_minute if burst is None else burst
        self._buckets: dict[Hashable, _Bucket] = {}

    def take(self, key: Hashable, now: float) -> float:
        """Count one use; 0 if it is allowed, else the seconds until the next one is."""
        bucket = self._bucket(key, now)
        if bucket.left < 1:
            return (1 - bucket.left) * 60 / self.per_minute
        bucket.left -= 1
        return 0.0

    def wait(self, key: Hashable, now: float) -> float:
        """The seconds until the next use is allowed, without counting one."""
        if key not in self._buckets:
            return 0.0
        return max(0.0, (1 - self._bucket(key, now).left) * 60 / self.per_minute)

    def _bucket(self, key: Hashable, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= MAX_KEYS:
                self._forget(now)
            bucket = self._buckets[key] = _Bucket(self._burst, now)
            return bucket
        grown = max(0.0, now - bucket.counted_at) * self.per_minute / 60
        bucket.left, bucket.counted_at = min(self._burst, bucket.left + grown), now
        return bucket

    def _forget(self, now: float) -> None:
        """Drop keys with a full allowance, or half of all if there are too many."""
        whole = self._burst * 60 / self.per_minute
        kept = {k: b for k, b in self._buckets.items() if now - b.counted_at < whole}
        if len(kept) >= MAX_KEYS:
            kept = dict(list(kept.items())[MAX_KEYS // 2 :])
        self._buckets = kept
