"""Time limits of job states; time not used in one stage carries over to the next."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from compute_horde.protocol.job import JobRequested, Timing
from compute_horde.vocabulary import HordeReason
from compute_horde.vocabulary import JobState as S

TIMED_OUT: dict[S, HordeReason] = {
    S.SENT: HordeReason.INITIAL_RESPONSE_TIMED_OUT,
    S.RECEIVED: HordeReason.INITIAL_RESPONSE_TIMED_OUT,
    S.ACCEPTED: HordeReason.EXECUTOR_READINESS_RESPONSE_TIMED_OUT,
    S.EXECUTOR_READY: HordeReason.VOLUMES_TIMED_OUT,
    S.VOLUMES_READY: HordeReason.EXECUTION_TIMED_OUT,
    S.STREAMING_READY: HordeReason.EXECUTION_TIMED_OUT,
    S.EXECUTION_DONE: HordeReason.FINAL_RESPONSE_TIMED_OUT,
}
FRESH = frozenset({S.SENT, S.RECEIVED, S.ACCEPTED, S.EXECUTOR_READY})


@dataclass(frozen=True, slots=True)
class Budget:
    """The time limits of a job in seconds, from reservation to upload."""

    reservation: timedelta
    spin_up: timedelta
    startup: timedelta
    leeway: timedelta
    download: timedelta
    streaming_start: timedelta
    execution: timedelta
    upload: timedelta
    streaming: bool = False

    def allowed_in(self, state: S) -> timedelta:
        """Seconds that entering `state` adds to the deadline."""
        match state:
            case S.SENT | S.RECEIVED:
                return self.reservation
            case S.ACCEPTED:
                return self.spin_up + self.startup
            case S.EXECUTOR_READY:
                return self.leeway + self.download
            case S.VOLUMES_READY if self.streaming:
                return self.streaming_start
            case S.VOLUMES_READY | S.STREAMING_READY:
                return self.execution
            case S.EXECUTION_DONE:
                return self.upload
            case _:
                return timedelta(0)

    def deadline(self, state: S, *, now: datetime, previous: datetime | None) -> datetime:
        """The deadline of `state` when it is entered at `now`.

        Up to `EXECUTOR_READY` a state counts from `now`; later ones from the previous deadline,
        so that unused time carries over.
        """
        start = now if state in FRESH or previous is None else previous
        return start + self.allowed_in(state)

    def total(self) -> timedelta:
        """The longest time, in seconds, for which an accepted job may hold its executor."""
        return (
            self.spin_up
            + self.startup
            + self.leeway
            + self.download
            + self.streaming_start
            + self.execution
            + self.upload
        )


def timed_out(state: S, *, streaming: bool) -> HordeReason:
    """The failure reason when the peer sends nothing until the deadline of `state`."""
    if state is S.VOLUMES_READY and streaming:
        return HordeReason.STREAMING_JOB_READY_TIMED_OUT
    return TIMED_OUT[state]


def timing_of(job: JobRequested, *, leeway: timedelta) -> Timing:
    """The time limits of `job` as sent to miner and executor."""
    return Timing(
        allowed_leeway=int(leeway.total_seconds()),
        download_time_limit=job.download_time_limit,
        execution_time_limit=job.execution_time_limit,
        upload_time_limit=job.upload_time_limit,
        streaming_start_time_limit=job.streaming_start_time_limit,
    )
