"""The state machine of one job at a miner: wait for a message until the deadline, advance."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from compute_horde.deadlines import Budget, timed_out
from compute_horde.errors import Cancelled, HordeError
from compute_horde.failure_messages import Ending, failure
from compute_horde.faults import Cause
from compute_horde.lifecycle import (
    CLAIMS,
    FINAL,
    STAGE_OF_STATE,
    IllegalTransition,
    advance,
    is_repeat,
)
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import HordeReason, JobState, Party

Listen = Callable[[], Awaitable[JobMessage]]
Clock = Callable[[], datetime]
# By how long this process itself was late, which no deadline may blame on the miner.
Lateness = Callable[[], timedelta]

# In these states the executor keeps the same deadlines and reports itself when one has passed.
# That report arrives a moment later: the validator waits for it before it reports the miner as
# timed out.
EXECUTOR_TIMES_OUT_ITSELF = frozenset(
    {
        JobState.EXECUTOR_READY,
        JobState.VOLUMES_READY,
        JobState.STREAMING_READY,
        JobState.EXECUTION_DONE,
    }
)
FINAL_MESSAGE_GRACE = timedelta(seconds=2)


def never_late() -> timedelta:
    """The lateness of a process that is always on time."""
    return timedelta(0)


@dataclass(frozen=True, slots=True)
class Step:
    """A message, its sender, the state it led to and the deadline of that state.

    `before` equals `state` when the message changed nothing, such as a repeated one.
    """

    message: JobMessage
    sent_by: Party
    before: JobState
    state: JobState
    deadline: datetime

    @property
    def has_changed_state(self) -> bool:
        """Whether the message changed the state of the job."""
        return self.state is not self.before


async def job_steps(
    job_uuid: str,
    listen: Listen,
    budget: Budget,
    *,
    now: Clock,
    state: JobState = JobState.RECEIVED,
    deadline: datetime | None = None,
    lateness: Lateness = never_late,
) -> AsyncGenerator[Step, None]:
    """Yield every step from `state` to a final one.

    The job fails when a deadline and then `lateness` have passed, when `listen` raises
    `HordeError` (the miner stays disconnected or breaks the protocol) and when a message is not
    allowed in the present state. It is cancelled when `listen` raises `Cancelled`.
    """
    deadline = deadline or budget.deadline(state, now=now(), previous=None)
    while state not in FINAL:
        waiting = _waited_for(listen, state, deadline, now, lateness)
        message, sent_by = await _next_message(job_uuid, waiting, state, budget)
        claimed = CLAIMS.get(type(message))
        if claimed is None or is_repeat(state, claimed):
            yield Step(message, sent_by, state, state, deadline)
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
            message, sent_by = _validator_failure(job_uuid, state, wrong), Party.VALIDATOR
            state = advance(state, message)
        if state not in FINAL:
            deadline = budget.deadline(state, now=now(), previous=deadline)
        yield Step(message, sent_by, before, state, deadline)


async def _waited_for(
    listen: Listen, state: JobState, deadline: datetime, now: Clock, lateness: Lateness
) -> JobMessage:
    """The next message; raises `TimeoutError` when there is none in time.

    A message that has arrived counts, even when the deadline was noticed first.
    """
    give_up = deadline + FINAL_MESSAGE_GRACE if state in EXECUTOR_TIMES_OUT_ITSELF else deadline
    receiving = asyncio.ensure_future(listen())
    try:
        while (left := (give_up + lateness() - now()).total_seconds()) > 0:
            await asyncio.wait({receiving}, timeout=left)
            if receiving.done():
                return receiving.result()
        # What was received already is handled first, without waiting for more.
        await asyncio.sleep(0)
        if receiving.done():
            return receiving.result()
        raise TimeoutError
    finally:
        receiving.cancel()


async def _next_message(
    job_uuid: str, waiting: Awaitable[JobMessage], state: JobState, budget: Budget
) -> tuple[JobMessage, Party]:
    try:
        message = await waiting
    except TimeoutError:
        reason = timed_out(state, streaming=budget.streaming)
        lost: HordeError | Cancelled = HordeError(
            reason, f"The miner sent no further message before the deadline (state: {state})"
        )
    except (HordeError, Cancelled) as exc:
        lost = exc
    else:
        return message, Party.MINER
    return _validator_failure(job_uuid, state, lost), Party.VALIDATOR


def _validator_failure(job_uuid: str, state: JobState, lost: HordeError | Cancelled) -> Ending:
    return failure(lost, job_uuid=job_uuid, seen_by=Party.VALIDATOR, during=STAGE_OF_STATE[state])
