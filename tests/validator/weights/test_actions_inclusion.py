"""A transaction of which nobody knows whether the chain included it is found, or ended first."""

from dataclasses import replace

import pytest
from django.utils import timezone

from compute_horde.adapters.chain_port import (
    ChainRefused,
    ChainUnreachable,
    WeightCommit,
)
from tests.validator.weights.publishing import (
    CYCLE,
    OPEN,
    PAID,
    US,
    batch,
    chain,
    publish,
    row,
)
from validator.weights.models import WeightsSet

pytestmark = pytest.mark.django_db


def test_a_write_without_an_answer_is_looked_for_before_it_is_repeated() -> None:
    batch(good=1)
    on = chain(problems=[ChainUnreachable("too late to say")])
    publish(on)
    on.block += 1
    publish(on)
    assert (row().state, row().attempts) == ("trying", 1)
    assert "may still be included: 7 blocks left" in row().outcome
    on.block += 1
    on.include({1: 65535})
    on.block += 1
    publish(on)
    assert (row().state, row().block, len(on.set)) == ("published", on.block - 1, 1)
    assert "found on the chain" in row().outcome


def test_a_write_that_did_not_come_true_is_repeated_once_it_has_expired() -> None:
    batch(good=1)
    on = chain(problems=[ChainUnreachable("too late to say")])
    publish(on)
    on.block += 7
    publish(on)
    assert on.set == []
    on.block += 1
    publish(on)
    assert (row().state, len(on.set)) == ("published", 1)
    assert list(row().submissions.values_list("state", flat=True)) == ["accepted", "expired"]


def test_only_the_finalized_chain_proves_that_a_write_expired() -> None:
    batch(good=1)
    on = chain(problems=[ChainUnreachable("too late to say")], unfinalized=1)
    publish(on)
    on.block += 8
    publish(on)
    assert on.set == []
    on.block += 1
    publish(on)
    assert len(on.set) == 1


def test_a_write_that_was_called_refused_and_is_found_on_the_chain_is_not_repeated() -> None:
    batch(good=1)
    on = chain(problems=[ChainRefused("the answer could not be decoded", "invalid_argument")])
    publish(on)
    on.include({1: 65535})
    on.block += 1
    publish(on)
    assert (row().state, len(on.set)) == ("published", 1)


def test_sealed_weights_are_found_although_the_last_update_did_not_move() -> None:
    batch(good=1)
    on = chain(problems=[ChainUnreachable("too late to say")])
    publish(on)
    on.sealed = (WeightCommit(1, on.block, 77, timezone.now()),)
    on.block += 9
    publish(on)
    assert (row().state, row().block, on.set) == ("published", OPEN, [])


def test_what_cannot_be_read_back_now_stays_published(caplog: pytest.LogCaptureFixture) -> None:
    batch(good=1)
    on = chain()
    publish(on)
    outcome = row().outcome
    on.block += 1
    on.unreadable = ChainUnreachable("down")
    publish(on)
    assert (row().state, row().outcome, row().landing) == ("published", outcome, "open")
    assert "weights not read back" in caplog.messages
    assert "weights not set" not in caplog.messages


def test_an_attempt_of_an_earlier_version_is_found_on_the_chain() -> None:
    batch(good=1)
    WeightsSet.objects.create(cycle_start=CYCLE.start, earned_in=PAID.start, attempts=1)
    on = chain(OPEN + 1)
    on.neurons[0] = replace(US, last_update=OPEN)
    publish(on)
    assert (row().state, row().block, on.set) == ("published", OPEN, [])


def test_a_write_of_a_window_that_closed_is_still_looked_for() -> None:
    batch(good=1)
    on = chain(CYCLE.stop - 2, problems=[ChainUnreachable("too late to say")])
    publish(on)
    on.include({1: 65535})
    on.block += 4
    publish(on)
    assert (row().state, row().block) == ("published", CYCLE.stop - 2)


def test_a_write_of_a_window_that_closed_is_not_repeated() -> None:
    batch(good=1)
    on = chain(CYCLE.stop - 2, problems=[ChainUnreachable("too late to say")])
    publish(on)
    on.block += 12
    publish(on)
    on.block += 1
    publish(on)
    assert (row().state, on.set) == ("failed", [])


def test_an_unanswered_question_about_an_earlier_cycle_costs_no_window() -> None:
    batch(good=1)
    on = chain(CYCLE.stop - 2, problems=[ChainUnreachable("too late to say")])
    publish(on)
    batch(cycle_start=CYCLE.start, better=1)
    on.block = OPEN + 20
    on.unanswered = ChainRefused("no such storage item", "not_found")
    publish(on)
    assert row().state == "trying"
    assert "no such storage item" in row().outcome
    assert on.set == [{2: 65535}]
