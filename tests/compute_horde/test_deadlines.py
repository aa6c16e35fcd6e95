"""Each stage adds its time limit; unused time carries over to the next."""

from datetime import UTC, datetime, timedelta

import pytest

from compute_horde.deadlines import Budget, timed_out, timing_of
from compute_horde.lifecycle import FINAL, MAY_FOLLOW
from compute_horde.protocol.job import JobRequested, Timing
from compute_horde.vocabulary import HordeReason
from compute_horde.vocabulary import JobState as S
from tests.compute_horde.vectors import VECTORS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIMES = {
    "reservation": 7,
    "spin_up": 30,
    "startup": 5,
    "leeway": 11,
    "download": 100,
    "streaming_start": 13,
    "execution": 1000,
    "upload": 17,
}
BUDGET = Budget(**{name: timedelta(seconds=seconds) for name, seconds in TIMES.items()})
STREAMING = Budget(
    **{name: timedelta(seconds=seconds) for name, seconds in TIMES.items()}, streaming=True
)


def seconds(number: int) -> timedelta:
    return timedelta(seconds=number)


ALLOWED = {
    S.SENT: 7,
    S.RECEIVED: 7,
    S.ACCEPTED: 35,
    S.EXECUTOR_READY: 111,
    S.VOLUMES_READY: 1000,
    S.EXECUTION_DONE: 17,
}


@pytest.mark.parametrize("state", ALLOWED)
def test_a_state_adds_the_time_of_the_stage_that_follows_it(state):
    assert BUDGET.allowed_in(state) == seconds(ALLOWED[state])


@pytest.mark.parametrize("state", sorted(FINAL))
def test_an_ended_job_needs_no_time(state):
    assert BUDGET.allowed_in(state) == timedelta(0)


def test_a_streaming_job_first_has_the_time_to_start_serving():
    assert STREAMING.allowed_in(S.VOLUMES_READY) == seconds(13)
    assert STREAMING.allowed_in(S.STREAMING_READY) == seconds(1000)


@pytest.mark.parametrize("state", [S.SENT, S.RECEIVED, S.ACCEPTED, S.EXECUTOR_READY])
def test_the_first_states_count_from_now(state):
    deadline = BUDGET.deadline(state, now=NOON, previous=NOON - timedelta(days=1))
    assert deadline == NOON + BUDGET.allowed_in(state)


def test_time_not_used_carries_over_and_time_overspent_does_too():
    ready = BUDGET.deadline(S.EXECUTOR_READY, now=NOON, previous=None)
    assert ready == NOON + seconds(11 + 100)
    for moment in (NOON, ready + seconds(5)):
        volumes = BUDGET.deadline(S.VOLUMES_READY, now=moment, previous=ready)
        assert volumes == ready + seconds(1000)
        done = BUDGET.deadline(S.EXECUTION_DONE, now=moment, previous=volumes)
        assert done == NOON + seconds(11 + 100 + 1000 + 17)


def test_a_streaming_job_ends_later_by_its_start_only():
    deadline = STREAMING.deadline(S.EXECUTOR_READY, now=NOON, previous=None)
    for state in (S.VOLUMES_READY, S.STREAMING_READY, S.EXECUTION_DONE):
        deadline = STREAMING.deadline(state, now=NOON, previous=deadline)
    assert deadline == NOON + seconds(11 + 100 + 13 + 1000 + 17)


def test_without_a_previous_deadline_a_late_state_counts_from_now():
    assert BUDGET.deadline(S.EXECUTION_DONE, now=NOON, previous=None) == NOON + seconds(17)


def test_the_total_is_what_an_accepted_receipt_promises():
    assert BUDGET.total() == seconds(sum(TIMES.values()) - TIMES["reservation"])
    assert BUDGET.total() == STREAMING.total()


REASONS = {
    S.SENT: HordeReason.INITIAL_RESPONSE_TIMED_OUT,
    S.RECEIVED: HordeReason.INITIAL_RESPONSE_TIMED_OUT,
    S.ACCEPTED: HordeReason.EXECUTOR_READINESS_RESPONSE_TIMED_OUT,
    S.EXECUTOR_READY: HordeReason.VOLUMES_TIMED_OUT,
    S.VOLUMES_READY: HordeReason.EXECUTION_TIMED_OUT,
    S.STREAMING_READY: HordeReason.EXECUTION_TIMED_OUT,
    S.EXECUTION_DONE: HordeReason.FINAL_RESPONSE_TIMED_OUT,
}


def test_every_state_that_can_end_late_has_a_word_for_it():
    assert {state: timed_out(state, streaming=False) for state in MAY_FOLLOW} == REASONS


def test_a_streaming_job_that_does_not_serve_in_time_has_a_word_of_its_own():
    late = timed_out(S.VOLUMES_READY, streaming=True)
    assert late is HordeReason.STREAMING_JOB_READY_TIMED_OUT
    assert timed_out(S.STREAMING_READY, streaming=True) is HordeReason.EXECUTION_TIMED_OUT


def test_the_limits_of_a_job_travel_unchanged():
    job = JobRequested.model_validate(VECTORS["messages"]["V2JobRequest"][0])
    assert timing_of(job, leeway=seconds(5)) == Timing(
        allowed_leeway=5,
        download_time_limit=10,
        execution_time_limit=20,
        upload_time_limit=10,
        streaming_start_time_limit=5,
    )


def test_the_longest_limits_that_a_message_may_carry_still_make_a_date():
    longest = seconds(2**31 - 1)
    budget = Budget(longest, longest, longest, longest, longest, longest, longest, longest)
    assert budget.deadline(S.EXECUTION_DONE, now=NOON, previous=NOON + budget.total()).year < 9999


@pytest.mark.parametrize("limit", [30 * 86400, 2**31 - 1])
def test_a_month_and_the_longest_limit_there_is_can_be_added_up(limit):
    spans = {name: timedelta(seconds=limit) for name in TIMES}
    budget = Budget(**spans)
    deadline = None
    for state in MAY_FOLLOW:
        deadline = budget.deadline(state, now=NOON, previous=deadline)
    assert deadline > NOON + timedelta(seconds=limit)
    assert budget.total() == 7 * timedelta(seconds=limit)
