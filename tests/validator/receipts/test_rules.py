"""The payloads and scores of receipts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.deadlines import Budget
from compute_horde.receipts import MAX_DURATION_US, MAX_TTL_SECONDS, JobIntervalReceipt
from tests.peers.user import request
from validator.receipts import rules

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
UUID = "00000000-0000-0000-0000-000000000001"
PARTIES = {"miner": "m", "validator": "v"}


def budget(execution: int = 30) -> Budget:
    seconds = (7, 3, 5, 4, 10, 20, execution, 40)
    return Budget(*(timedelta(seconds=one) for one in seconds))


@pytest.mark.parametrize(
    ("took", "worth"), [(1.5, "1.500000"), (0, "0.000000"), (-3, "0.000000"), (900, "20.000000")]
)
def test_a_cancelled_job_is_worth_its_time_up_to_its_price(took: float, worth: str) -> None:
    until = NOW + timedelta(seconds=took)
    assert rules.score_text(rules.price_of_used_time(request(), began=NOW, until=until)) == worth


def test_a_cancelled_job_that_nobody_accepted_or_that_was_for_the_trusted_miner_is_free() -> None:
    assert rules.price_of_used_time(request(), began=None, until=NOW) == 0
    trusted = request(on_trusted_miner=True)
    assert rules.price_of_used_time(trusted, began=NOW, until=NOW + timedelta(seconds=5)) == 0


def test_the_started_receipt_holds_for_the_reservation() -> None:
    job = request()
    receipt = rules.started_payload(job, **PARTIES, now=NOW, budget=budget(), is_organic=True)
    assert (receipt.job_uuid, receipt.ttl, receipt.is_organic) == (job.uuid, 7, True)
    assert receipt.model_dump(mode="json")["timestamp"] == "2026-07-01T12:00:00Z"


def test_the_accepted_receipt_holds_for_the_rest_streaming_included() -> None:
    receipt = rules.accepted_payload(request().uuid, **PARTIES, now=NOW, budget=budget())
    assert (receipt.ttl, receipt.time_accepted) == (3 + 5 + 4 + 10 + 20 + 30 + 40, NOW)


def test_a_very_long_job_is_clamped_to_what_receipts_may_say() -> None:
    receipt = rules.accepted_payload(request().uuid, **PARTIES, now=NOW, budget=budget(10**8))
    assert receipt.ttl == MAX_TTL_SECONDS


@pytest.mark.parametrize(
    ("took", "reported"),
    [
        (timedelta(seconds=1.5), 1_500_000),
        (timedelta(seconds=-1), 0),
        (timedelta(days=400), MAX_DURATION_US),
    ],
)
def test_the_finished_receipt_tells_how_long_it_took(took: timedelta, reported: int) -> None:
    receipt = rules.finished_payload(
        request().uuid, **PARTIES, now=NOW + took, began=NOW, score=Decimal(20)
    )
    assert (receipt.time_took_us, receipt.score_str, receipt.time_started) == (
        reported,
        "20.000000",
        NOW,
    )


def test_scores_are_plain_decimals_however_large_or_small() -> None:
    scores = [Decimal(0), Decimal("0.0000004"), Decimal(10) ** 12, Decimal("1E+3")]
    assert [rules.score_text(score) for score in scores] == [
        "0.000000",
        "0.000000",
        "1000000000000.000000",
        "1000.000000",
    ]


def test_a_users_job_costs_its_time_limits_and_a_trusted_one_nothing() -> None:
    assert rules.price(request()) == 5 + 10 + 5
    assert rules.price(request(on_trusted_miner=True)) == 0


LENGTHS = st.integers(1, 86400 * 10**6).map(lambda us: timedelta(microseconds=us))


def issued(score: Decimal, number: int) -> JobIntervalReceipt:
    return rules.interval_payload(
        UUID,
        **PARTIES,
        now=NOW,
        number=number,
        began=NOW,
        length=timedelta(seconds=1),
        score=score,
    )


@given(st.lists(LENGTHS, max_size=50), st.integers(0, 10**7).map(Decimal))
def test_intervals_are_never_worth_more_than_the_job(lengths: list[timedelta], limit) -> None:
    receipts: list[JobIntervalReceipt] = []
    for number, length in enumerate(lengths):
        score = rules.interval_score(length, rules.proven_score(receipts), limit)
        assert 0 <= score <= Decimal(str(length.total_seconds()))
        receipts.append(issued(score, number))
    seconds = sum((Decimal(str(one.total_seconds())) for one in lengths), Decimal(0))
    assert rules.proven_score(receipts) == min(seconds, limit)


@given(
    st.lists(st.integers(0, 600).map(Decimal), max_size=20),
    st.integers(0, 20_000).map(Decimal),
    st.randoms(),
)
def test_nothing_is_paid_twice_however_receipts_are_told(scores, price, chance) -> None:
    intervals = [issued(score, number) for number, score in enumerate(scores)]
    finished = rules.finished_payload(UUID, **PARTIES, now=NOW, began=NOW, score=price)
    reported = intervals * 2
    chance.shuffle(reported)
    assert rules.proven_score(reported) == sum(scores)
    reported.insert(chance.randint(0, len(reported)), finished)
    assert rules.proven_score(reported) == price


def test_no_receipts_prove_nothing() -> None:
    assert rules.proven_score([]) == 0


def test_an_interval_says_which_one_it_is_and_when_it_was() -> None:
    length = timedelta(minutes=10)
    receipt = rules.interval_payload(
        UUID, **PARTIES, now=NOW + length, number=7, began=NOW, length=length, score=Decimal(600)
    )
    assert (receipt.interval, receipt.time_started, receipt.time_took_us, receipt.score_str) == (
        7,
        NOW,
        600_000_000,
        "600.000000",
    )
