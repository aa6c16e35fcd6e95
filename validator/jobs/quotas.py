"""Limits per signer: jobs in flight and jobs per minute; and on how many rejections are stored."""

from collections.abc import Iterable

from compute_horde.errors import RejectionError
from compute_horde.faults import Cause
from compute_horde.rate_limit import RateLimit
from compute_horde.vocabulary import RejectionReason
from validator.jobs.live_job import LiveJob
from validator.jobs.models import Job

# Refused jobs are stored for operators to look at: a burst of 500, and 2 per minute after it.
REJECTIONS_AT_ONCE = 500
REJECTIONS_PER_MINUTE = 2
STORED_REJECTIONS = "rejections"


class SignerQuota:
    """Counts the jobs of each signer, and the rejected jobs of all."""

    def __init__(self, in_flight: int, per_minute: int, trusted_in_flight: int = 2) -> None:
        self._in_flight = in_flight
        self._trusted_in_flight = trusted_in_flight
        self._rate = RateLimit(per_minute)
        self._rejections = RateLimit(REJECTIONS_PER_MINUTE, REJECTIONS_AT_ONCE)

    def take(
        self, signer: str, live: Iterable[LiveJob], now: float, *, on_trusted_miner: bool = False
    ) -> None:
        """Count one job of this signer; raises `RejectionError` when a limit is reached."""
        own = [job for job in live if job.kind is Job.Kind.ORGANIC and job.signatory == signer]
        trusted, in_flight = sum(job.request.on_trusted_miner for job in own), len(own)
        if on_trusted_miner and trusted >= self._trusted_in_flight:
            raise _too_many(
                f"{trusted} of signer {signer} are on the trusted miner, which is the most: "
                "wait until one of them has ended"
            )
        if in_flight >= self._in_flight:
            raise _too_many(f"{in_flight} of signer {signer} are in flight here, which is the most")
        if self._rate.take(signer, now):
            text = f"signer {signer} may start {self._rate.per_minute} per minute here"
            raise _too_many(text)

    def may_store_rejection(self, now: float) -> bool:
        """Whether one more rejected job may be stored; anybody can have many jobs rejected."""
        return self._rejections.take(STORED_REJECTIONS, now) == 0


def _too_many(text: str) -> RejectionError:
    return RejectionError(
        RejectionReason.BUSY, f"Too many jobs: {text}", context=Cause.QUOTA.context
    )
