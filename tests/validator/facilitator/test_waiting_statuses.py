"""Stored statuses are held in memory up to a budget, and read again beyond it."""

import asyncio
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from compute_horde.protocol.status import JobResult, StatusMetadata, StatusReported
from compute_horde.vocabulary import JobState
from validator.facilitator.waiting_statuses import Stored, WaitingStatuses

STATES = (JobState.RECEIVED, JobState.ACCEPTED, JobState.COMPLETED)


def report(job: int, state: JobState, size: int = 0) -> StatusReported:
    result = JobResult(docker_process_stdout="x" * size, docker_process_stderr="")
    return StatusReported(
        uuid=str(UUID(int=job)), status=state, metadata=StatusMetadata(miner_response=result)
    )


class Rows:
    """The database: what is stored, and what was read."""

    def __init__(self) -> None:
        self.rows: dict[Stored, StatusReported] = {}
        self.reads: list[Stored] = []

    def add(self, one: StatusReported) -> StatusReported:
        self.rows[Stored(one.uuid, one.status)] = one
        return one

    async def read(self, stored: Stored) -> StatusReported | None:
        self.reads.append(stored)
        return self.rows.get(stored)


async def test_what_is_held_costs_no_query() -> None:
    rows = Rows()
    statuses = WaitingStatuses(rows.read)
    one = report(1, JobState.COMPLETED)
    stored = statuses.hold(one)
    assert stored == Stored(one.uuid, JobState.COMPLETED)
    assert await statuses.get(stored) is one
    assert rows.reads == []


async def test_a_job_over_its_budget_is_dropped_alone_and_read_again() -> None:
    rows = Rows()
    statuses = WaitingStatuses(rows.read, job_bytes=2**16)
    small, large = rows.add(report(1, STATES[0])), rows.add(report(2, STATES[0], 2**17))
    held = [statuses.hold(one) for one in (small, large)]
    assert [await statuses.get(one) for one in held] == [small, large]
    assert rows.reads == [held[1]]


async def test_over_the_whole_budget_the_largest_job_is_dropped() -> None:
    rows = Rows()
    statuses = WaitingStatuses(rows.read, all_bytes=2**17)
    kept, largest = rows.add(report(1, STATES[0], 2**15)), rows.add(report(2, STATES[0], 2**16))
    held = [statuses.hold(one) for one in (kept, largest)]
    statuses.hold(rows.add(report(3, STATES[0], 2**15)))
    assert [await statuses.get(one) for one in held] == [kept, largest]
    assert rows.reads == [held[1]]


async def test_a_status_that_is_nowhere_is_none_and_logged(caplog) -> None:
    gone = Stored(str(UUID(int=1)), JobState.COMPLETED)
    assert await WaitingStatuses(Rows().read).get(gone) is None
    assert await WaitingStatuses().get(gone) is None
    assert [one.status for one in caplog.records] == ["completed", "completed"]


STEPS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 3),
        st.sampled_from(STATES),
        st.sampled_from([0, 10**4, 10**5]),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_is_held_and_released_nothing_is_lost_and_the_budget_holds(steps) -> None:
    rows = Rows()
    statuses = WaitingStatuses(rows.read, job_bytes=150_000, all_bytes=250_000)
    for is_held, job, state, size in steps:
        key = Stored(str(UUID(int=job)), state)
        if is_held:
            assert statuses.hold(rows.rows.get(key) or rows.add(report(job, state, size))) == key
        else:
            statuses.release(key)
        assert 0 <= statuses.budget.held <= 250_000
    for key, one in rows.rows.items():
        assert asyncio.run(statuses.get(key)) == one
        statuses.release(key)
        statuses.release(key)
    assert (statuses.budget.held, statuses._jobs) == (0, {})
