"""One job's conversation with a miner: listen until the deadline of the present state, advance."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from compute_horde.blame import Ending, failure
from compute_horde.deadlines import Budget, timed_out
from compute_horde.errors import Cancelled, HordeError
from compute_horde.faults import Cause
from compute_horde.lifecycle import CLAIMS, FINAL, IllegalTransition, advance, is_repeat
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import HordeReason, JobState, Party, Stage

Listen = Callable[[], Awaitable[JobMessage]]
Clock = Callable[[], datetime]

BUSY_WITH = {
    JobState.RECEIVED: Stage.EXECUTOR_STARTUP,
    JobState.ACCEPTED: Stage.EXECUTOR_STARTUP,
    JobState.EXECUTOR_READY: Stage.VOLUME_DOWNLOAD,
    JobState.VOLUMES_READY: Stage.EXECUTION,
    JobState.STREAMING_READY: Stage.EXECUTION,
    JobState.EXECUTION_DONE: Stage.RESULT_UPLOAD,
}
# From here on the executor keeps the same deadlines: it says itself that one is over, and why.
# We hear that a moment later, and only silence after it is the network's fault.
SELF_TIMED = frozenset(
    {
        JobState.EXECUTOR_READY,
        JobState.VOLUMES_READY,
        JobState.STREAMING_READY,
        JobState.EXECUTION_DONE,
    }
)
LAST_WORD = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Step:
    """A fact, who said it, the state it led to and when that state must be over.

    `before` equals `state` when the fact changed nothing: a repeat, or news beside the point.
    """

    message: JobMessage
    said_by: Party
    before: JobState
    state: JobState
    deadline: datetime

    @property
    def moved(self) -> bool:
        """Whether the job is in another state than before."""
        return self.state is not self.before


async def drive(
    job_uuid: str,
    listen: Listen,
    budget: Budget,
    *,
    now: Clock,
    state: JobState = JobState.RECEIVED,
    deadline: datetime | None = None,
) -> AsyncGenerator[Step, None]:
    """Yield every step from `state` to the end; a silent, lost or confused miner ends it too.

    `listen` raises `HordeError` when the miner is given up, `Cancelled` when the job is.
    """
    deadline = deadline or budget.deadline(state, now=now(), previous=None)
    while state not in FINAL:
        message, said_by = await _next(job_uuid, listen, state, budget, deadline, now)
        claimed = CLAIMS.get(type(message))
        if claimed is None or is_repeat(state, claimed):
            yield Step(message, said_by, state, state, deadline)
            continue
        before = state
        try:
            state = advance(state, message)
        except IllegalTransition as exc:
            wrong = HordeError(
                HordeReason.GENERIC_ERROR,
                f"The miner broke the order of messages: {exc}",
                context=Cause.BROKEN_ORDER.context,
            )
            message, said_by = _own_verdict(job_uuid, state, wrong), Party.VALIDATOR
            state = advance(state, message)
        if state not in FINAL:
            deadline = budget.deadline(state, now=now(), previous=deadline)
        yield Step(message, said_by, before, state, deadline)


async def _next(
    job_uuid: str,
    listen: Listen,
    state: JobState,
    budget: Budget,
    deadline: datetime,
    now: Clock,
) -> tuple[JobMessage, Party]:
    give_up = deadline + LAST_WORD if state in SELF_TIMED else deadline
    try:
        async with asyncio.timeout((give_up - now()).total_seconds()):
            message = await listen()
    except TimeoutError:
        reason = timed_out(state, streaming=budget.streaming)
        lost: HordeError | Cancelled = HordeError(
            reason, f"The miner said nothing more while {state}"
        )
    except (HordeError, Cancelled) as exc:
        lost = exc
    else:
        return message, Party.MINER
    return _own_verdict(job_uuid, state, lost), Party.VALIDATOR


def _own_verdict(job_uuid: str, state: JobState, lost: HordeError | Cancelled) -> Ending:
    return failure(lost, job_uuid=job_uuid, seen_by=Party.VALIDATOR, during=BUSY_WITH[state])
