"""The state machine of a job, with a miner that is a list of messages."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from compute_horde.deadlines import Budget
from compute_horde.errors import HordeError
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.capacity import MachineSpecs
from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    HordeFailed,
    JobAccepted,
    JobDeclined,
    JobFailed,
    JobFinished,
    StreamingReady,
    VolumesReady,
)
from compute_horde.vocabulary import HordeReason, Party
from compute_horde.vocabulary import JobState as S
from validator.jobs.steps import Step, job_steps

JOB = "00000000-0000-0000-0000-000000000001"
BRISK = timedelta(milliseconds=50)
BUDGET = Budget(
    reservation=BRISK,
    spin_up=BRISK,
    startup=timedelta(0),
    leeway=timedelta(0),
    download=BRISK,
    streaming_start=BRISK,
    execution=BRISK,
    upload=BRISK,
)
DONE = JobFinished(job_uuid=JOB, docker_process_stdout="hi", docker_process_stderr="")
ROAD = [
    *(word(job_uuid=JOB) for word in (JobAccepted, ExecutorReady, VolumesReady, ExecutionDone)),
    DONE,
]
SPECS = MachineSpecs(job_uuid=JOB, specs={})


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validator.jobs.steps.FINAL_MESSAGE_GRACE", BRISK)


def now() -> datetime:
    return datetime.now(UTC)


def receiving(*words):
    queue = asyncio.Queue()
    for word in words:
        queue.put_nowait(word)

    async def listen():
        word = await queue.get()
        if isinstance(word, Exception):
            raise word
        return word

    return listen


async def steps(*words, **options) -> list[Step]:
    return [step async for step in job_steps(JOB, receiving(*words), BUDGET, now=now, **options)]


async def states(*words, **options) -> list[S]:
    return [step.state for step in await steps(*words, **options)]


async def test_a_job_that_goes_well() -> None:
    assert await states(*ROAD) == [
        S.ACCEPTED,
        S.EXECUTOR_READY,
        S.VOLUMES_READY,
        S.EXECUTION_DONE,
        S.COMPLETED,
    ]


async def test_a_streaming_job_passes_one_state_more() -> None:
    streaming = StreamingReady(job_uuid=JOB, public_key="pem", port=1)
    road = [*ROAD[:3], streaming, *ROAD[3:]]
    assert S.STREAMING_READY in await states(*road)


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (0, HordeReason.INITIAL_RESPONSE_TIMED_OUT),
        (1, HordeReason.EXECUTOR_READINESS_RESPONSE_TIMED_OUT),
        (2, HordeReason.VOLUMES_TIMED_OUT),
        (3, HordeReason.EXECUTION_TIMED_OUT),
        (4, HordeReason.FINAL_RESPONSE_TIMED_OUT),
    ],
)
async def test_a_miner_silent_in_any_state_fails_the_job_by_the_networks_fault(
    received: int, reason: HordeReason
) -> None:
    last = (await steps(*ROAD[:received]))[-1]
    assert last.state is S.HORDE_FAILED
    assert last.sent_by is Party.VALIDATOR
    assert isinstance(last.message, HordeFailed)
    assert (last.message.reason, last.message.reported_by) == (reason, Party.VALIDATOR)


@pytest.mark.parametrize("received", [2, 3, 4])
async def test_an_executor_may_say_itself_that_its_time_is_over(
    received: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("validator.jobs.steps.FINAL_MESSAGE_GRACE", timedelta(seconds=5))
    words = receiving(*ROAD[:received])
    over = JobFailed(job_uuid=JOB, message="Download time exceeded")

    async def listen():
        try:
            async with asyncio.timeout((BRISK * (received + 1)).total_seconds()):
                return await words()
        except TimeoutError:
            return over

    last = [step async for step in job_steps(JOB, listen, BUDGET, now=now)][-1]
    assert (last.state, last.sent_by, last.message) == (S.FAILED, Party.MINER, over)


@pytest.mark.parametrize(("late", "end"), [(60, S.ACCEPTED), (0, S.HORDE_FAILED)])
async def test_our_own_lateness_extends_a_deadline(late: int, end: S) -> None:
    async def listen():
        # Without lateness the deadline passes, however slow this machine is.
        await asyncio.sleep(3 * BRISK.total_seconds() if late else 3600)
        return ROAD[0]

    steps_taken = job_steps(JOB, listen, BUDGET, now=now, lateness=lambda: timedelta(seconds=late))
    first = await anext(steps_taken)
    await steps_taken.aclose()
    assert first.state is end


async def test_a_message_that_arrived_counts_even_when_it_is_read_late() -> None:
    async def listen():
        time.sleep(3 * BRISK.total_seconds())
        return ROAD[0]

    steps_taken = job_steps(JOB, listen, BUDGET, now=now)
    assert (await anext(steps_taken)).state is S.ACCEPTED
    await steps_taken.aclose()


async def test_unused_time_carries_over_to_later_states() -> None:
    received = await steps(*ROAD)
    by_state = {step.state: step.deadline for step in received}
    assert by_state[S.VOLUMES_READY] == by_state[S.EXECUTOR_READY] + BUDGET.execution
    assert by_state[S.EXECUTION_DONE] == by_state[S.VOLUMES_READY] + BUDGET.upload


@pytest.mark.parametrize(
    ("words", "end"),
    [
        ([JobDeclined(job_uuid=JOB)], S.REJECTED),
        ([ROAD[0], JobFailed(job_uuid=JOB)], S.FAILED),
        (
            [
                HordeFailed(
                    job_uuid=JOB,
                    reported_by=Party.MINER,
                    message="",
                    reason=HordeReason.EXECUTOR_SPINUP_FAILED,
                )
            ],
            S.HORDE_FAILED,
        ),
    ],
)
async def test_the_miners_own_verdict_ends_the_job(words: list, end: S) -> None:
    last = (await steps(*words))[-1]
    assert (last.state, last.sent_by) == (end, Party.MINER)


@pytest.mark.parametrize("after", range(5))
async def test_a_fact_said_twice_changes_nothing(after: int) -> None:
    repeated = [*ROAD[:after], *ROAD[:after], *ROAD[after:]]
    transitions = [step.state for step in await steps(*repeated) if step.has_changed_state]
    assert transitions == await states(*ROAD)


async def test_news_beside_the_point_is_passed_on_without_moving() -> None:
    received = await steps(*ROAD[:4], SPECS, *ROAD[4:])
    assert [step.message for step in received if not step.has_changed_state] == [SPECS]


@pytest.mark.parametrize("skipping", [ROAD[2:3], [*ROAD[:1], DONE], [JobFailed(job_uuid=JOB)]])
async def test_a_miner_that_skips_states_fails_the_job(skipping: list) -> None:
    last = (await steps(*skipping))[-1]
    assert (last.state, last.sent_by) == (S.HORDE_FAILED, Party.VALIDATOR)
    assert "broke the order" in last.message.message


async def test_a_miner_given_up_ends_the_job_with_what_was_lost() -> None:
    lost = HordeError(HordeReason.MINER_CONNECTION_FAILED, "the miner was lost")
    last = (await steps(ROAD[0], lost))[-1]
    assert last.state is S.HORDE_FAILED
    assert last.message.reason is HordeReason.MINER_CONNECTION_FAILED
    assert last.message.message == "the miner was lost"


async def test_a_resumed_job_goes_on_where_it_was() -> None:
    deadline = now() + timedelta(seconds=1)
    received = await states(*ROAD[3:], state=S.VOLUMES_READY, deadline=deadline)
    assert received == [S.EXECUTION_DONE, S.COMPLETED]


async def test_a_resumed_job_keeps_its_deadline() -> None:
    deadline = now() + timedelta(milliseconds=20)
    last = (await steps(state=S.VOLUMES_READY, deadline=deadline))[-1]
    assert last.message.reason is HordeReason.EXECUTION_TIMED_OUT


@pytest.mark.parametrize("end", sorted(FINAL))
async def test_a_job_that_is_over_says_nothing(end: S) -> None:
    remaining: AsyncIterator[Step] = job_steps(JOB, receiving(*ROAD), BUDGET, now=now, state=end)
    assert [step async for step in remaining] == []
