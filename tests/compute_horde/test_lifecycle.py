"""Every pair of states, legal and illegal; every message that moves a job."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde import lifecycle
from compute_horde.lifecycle import (
    BREAKS,
    CLAIMS,
    FINAL,
    MAY_FOLLOW,
    STAGE_OF_STATE,
    IllegalTransition,
    advance,
    catch_up,
    follow,
    is_repeat,
    move,
)
from compute_horde.vocabulary import JobState as S

GOLDEN = Path(__file__).parent / "protocol" / "golden"
ROAD = [
    S.SENT,
    S.RECEIVED,
    S.ACCEPTED,
    S.EXECUTOR_READY,
    S.VOLUMES_READY,
    S.EXECUTION_DONE,
    S.COMPLETED,
]
STREAMING_ROAD = [*ROAD[:5], S.STREAMING_READY, *ROAD[5:]]
PAIRS = list(itertools.product(S, S))
LEGAL = [
    *itertools.pairwise(ROAD),
    *itertools.pairwise(STREAMING_ROAD[4:7]),
    (S.SENT, S.REJECTED),
    (S.SENT, S.HORDE_FAILED),
    (S.SENT, S.CANCELLED),
    (S.RECEIVED, S.CANCELLED),
    (S.RECEIVED, S.REJECTED),
    (S.RECEIVED, S.HORDE_FAILED),
    *(
        (state, end)
        for state in STREAMING_ROAD[2:-1]
        for end in (S.FAILED, S.HORDE_FAILED, S.CANCELLED)
    ),
]
ILLEGAL = [pair for pair in PAIRS if pair not in LEGAL]


def message(cls):
    return cls.model_validate_json((GOLDEN / f"{cls.__name__}.json").read_text())


def test_the_ends_are_the_published_ones_and_cancelled():
    assert {S.COMPLETED, S.REJECTED, S.FAILED, S.HORDE_FAILED, S.CANCELLED} == FINAL
    assert FINAL > BREAKS


def test_the_table_holds_exactly_the_legal_pairs():
    assert sorted(LEGAL) == sorted((a, b) for a, after in MAY_FOLLOW.items() for b in after)


@pytest.mark.parametrize(("state", "claimed"), LEGAL)
def test_a_legal_claim_moves_the_job(state, claimed):
    assert move(state, claimed) is claimed


@pytest.mark.parametrize(("state", "claimed"), ILLEGAL)
def test_an_illegal_claim_is_the_peer_s_mistake(state, claimed):
    with pytest.raises(IllegalTransition, match=f"{claimed} cannot follow {state}") as caught:
        move(state, claimed)
    assert (caught.value.state, caught.value.claimed) == (state, claimed)


@pytest.mark.parametrize("cls", CLAIMS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("state", S)
def test_a_message_moves_a_job_as_its_claim_does(state, cls):
    claimed = CLAIMS[cls]
    if (state, claimed) in LEGAL:
        assert advance(state, message(cls)) is claimed
    else:
        with pytest.raises(IllegalTransition):
            advance(state, message(cls))


def test_every_state_that_peers_tell_of_is_claimed_by_one_message():
    sent = set(S) - {S.UNKNOWN, S.SENT, S.RECEIVED}
    assert sorted(CLAIMS.values()) == sorted(sent)


@pytest.mark.parametrize("road", [ROAD, STREAMING_ROAD], ids=["plain", "streaming"])
def test_what_was_said_on_the_way_here_is_a_repeat_and_what_lies_ahead_is_not(road):
    for here, claimed in itertools.product(road, road):
        assert is_repeat(here, claimed) == (road.index(claimed) <= road.index(here))


@pytest.mark.parametrize(
    ("state", "claimed", "repeat"),
    [
        (S.FAILED, S.FAILED, True),
        (S.FAILED, S.EXECUTION_DONE, True),
        (S.FAILED, S.HORDE_FAILED, False),
        (S.COMPLETED, S.FAILED, False),
        (S.REJECTED, S.RECEIVED, True),
        (S.REJECTED, S.ACCEPTED, False),
        (S.EXECUTION_DONE, S.STREAMING_READY, True),
        (S.VOLUMES_READY, S.STREAMING_READY, False),
        (S.SENT, S.UNKNOWN, False),
    ],
)
def test_repeats_near_the_end(state, claimed, repeat):
    assert is_repeat(state, claimed) is repeat


@pytest.mark.parametrize(
    ("state", "reported", "after"),
    [
        (S.SENT, S.COMPLETED, S.COMPLETED),
        (S.SENT, S.STREAMING_READY, S.STREAMING_READY),
        (S.RECEIVED, S.FAILED, S.FAILED),
        (S.ACCEPTED, S.VOLUMES_READY, S.VOLUMES_READY),
        (S.EXECUTION_DONE, S.STREAMING_READY, S.EXECUTION_DONE),
        (S.EXECUTION_DONE, S.RECEIVED, S.EXECUTION_DONE),
        (S.COMPLETED, S.ACCEPTED, S.COMPLETED),
        (S.COMPLETED, S.COMPLETED, S.COMPLETED),
        (S.HORDE_FAILED, S.VOLUMES_READY, S.HORDE_FAILED),
        (S.ACCEPTED, S.UNKNOWN, S.ACCEPTED),
    ],
)
def test_a_report_may_skip_states_or_come_late(state, reported, after):
    assert catch_up(state, reported) is after


@pytest.mark.parametrize(
    ("state", "reported"),
    [(a, b) for a in sorted(FINAL) for b in sorted(FINAL) if a != b] + [(S.ACCEPTED, S.REJECTED)],
)
def test_no_report_gives_a_job_a_second_or_impossible_ending(state, reported):
    with pytest.raises(IllegalTransition):
        catch_up(state, reported)


@given(st.sampled_from([ROAD, STREAMING_ROAD]), st.data())
def test_reports_in_any_order_and_number_end_where_the_job_ended(road, data):
    reports = data.draw(
        st.lists(st.sampled_from(road)).map(lambda some: [*some, *road]).flatmap(st.permutations)
    )
    state = S.SENT
    for reported in reports:
        state = catch_up(state, reported)
    assert state is S.COMPLETED


@pytest.mark.parametrize("road", [ROAD, STREAMING_ROAD])
def test_claims_in_their_order_are_followed_and_repeats_change_nothing(road):
    assert follow(S.SENT, []) is S.SENT
    assert follow(S.SENT, [claim for claim in road for _ in "ab"]) is S.COMPLETED


@pytest.mark.parametrize("claims", [[S.COMPLETED], [S.RECEIVED, S.SENT], [S.REJECTED, S.ACCEPTED]])
def test_a_claim_that_may_not_follow_is_refused(claims):
    with pytest.raises(IllegalTransition):
        follow(S.SENT, claims)


@given(st.lists(st.sampled_from(S)))
def test_a_job_never_goes_back(reports):
    state = S.SENT
    for reported in reports:
        try:
            after = catch_up(state, reported)
        except IllegalTransition:
            continue
        assert after is state or after in lifecycle.REACH[state]
        state = after


def test_an_executor_is_busy_with_something_in_each_state_a_validator_waits_in():
    assert set(STAGE_OF_STATE) == set(MAY_FOLLOW) - {S.SENT}
