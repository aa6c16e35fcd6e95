"""The state machine of a job; every service changes a job's state only through this module."""

from collections.abc import Iterable

from compute_horde.errors import ProtocolError
from compute_horde.protocol import extensions, job
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import JobState as S
from compute_horde.vocabulary import Stage

BREAKS = frozenset({S.FAILED, S.HORDE_FAILED, S.CANCELLED})

MAY_FOLLOW: dict[S, frozenset[S]] = {
    S.SENT: frozenset({S.RECEIVED, S.REJECTED, S.HORDE_FAILED, S.CANCELLED}),
    S.RECEIVED: frozenset({S.ACCEPTED, S.REJECTED, S.HORDE_FAILED, S.CANCELLED}),
    S.ACCEPTED: frozenset({S.EXECUTOR_READY}) | BREAKS,
    S.EXECUTOR_READY: frozenset({S.VOLUMES_READY}) | BREAKS,
    S.VOLUMES_READY: frozenset({S.STREAMING_READY, S.EXECUTION_DONE}) | BREAKS,
    S.STREAMING_READY: frozenset({S.EXECUTION_DONE}) | BREAKS,
    S.EXECUTION_DONE: frozenset({S.COMPLETED}) | BREAKS,
}
UNFINISHED = tuple(MAY_FOLLOW)
FINAL = frozenset(S) - MAY_FOLLOW.keys() - {S.UNKNOWN}

# What the executor is busy with in a state, as validator and miner see it.
STAGE_OF_STATE: dict[S, Stage] = {
    S.RECEIVED: Stage.EXECUTOR_STARTUP,
    S.ACCEPTED: Stage.EXECUTOR_STARTUP,
    S.EXECUTOR_READY: Stage.VOLUME_DOWNLOAD,
    S.VOLUMES_READY: Stage.EXECUTION,
    S.STREAMING_READY: Stage.EXECUTION,
    S.EXECUTION_DONE: Stage.RESULT_UPLOAD,
}

CLAIMS: dict[type[JobMessage], S] = {
    job.JobAccepted: S.ACCEPTED,
    job.JobDeclined: S.REJECTED,
    job.ExecutorReady: S.EXECUTOR_READY,
    job.VolumesReady: S.VOLUMES_READY,
    job.StreamingReady: S.STREAMING_READY,
    job.ExecutionDone: S.EXECUTION_DONE,
    job.JobFinished: S.COMPLETED,
    job.JobFailed: S.FAILED,
    job.HordeFailed: S.HORDE_FAILED,
    extensions.JobCancelled: S.CANCELLED,
}


class IllegalTransition(ProtocolError):
    """A message claims a state that may not follow the job's present one."""

    def __init__(self, state: S, claimed: S) -> None:
        super().__init__(f"{claimed} cannot follow {state}")
        self.state, self.claimed = state, claimed


def _reach() -> dict[S, frozenset[S]]:
    """For each state all states that can be reached from it."""
    reach: dict[S, frozenset[S]] = {state: frozenset() for state in FINAL}
    for state in reversed(MAY_FOLLOW):
        reach[state] = MAY_FOLLOW[state].union(
            *(reach.get(n, frozenset()) for n in MAY_FOLLOW[state])
        )
    return reach


REACH = _reach()


def move(state: S, claimed: S) -> S:
    """`claimed`; raises `IllegalTransition` when it may not follow `state`."""
    if claimed not in MAY_FOLLOW.get(state, ()):
        raise IllegalTransition(state, claimed)
    return claimed


def advance(state: S, message: JobMessage) -> S:
    """The state after `message` was received; raises `IllegalTransition`."""
    return move(state, CLAIMS[type(message)])


def follow(state: S, claims: Iterable[S]) -> S:
    """The state after all `claims` in turn; one that repeats the present state changes nothing.

    Raises `IllegalTransition` at the first claim that may not follow.
    """
    for claimed in claims:
        state = state if claimed == state else move(state, claimed)
    return state


def is_repeat(state: S, claimed: S) -> bool:
    """Whether the job was in state `claimed` before, so that the message changes nothing."""
    return claimed == state or state in REACH.get(claimed, frozenset())


def catch_up(state: S, reported: S) -> S:
    """The state after a report that may skip others or come late.

    Reports cross a network without order: a skip is taken, a late one leaves the state as it is.
    A second, different ending raises `IllegalTransition`.
    """
    if reported in REACH.get(state, frozenset()):
        return reported
    if reported in FINAL and reported != state:
        raise IllegalTransition(state, reported)
    return state
