"""The network at a block, and changes, from facts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from validator.network.network_state import (
    Change,
    History,
    LoggedFact,
    NetworkState,
    PastNeuron,
    changes_of,
)

START = datetime(2026, 11, 30, tzinfo=UTC)


def time_of(block: int) -> datetime:
    return START + timedelta(seconds=12 * block)


def fact(kind: str, value: Any, first: int, until: int | None = None, **where: str) -> LoggedFact:
    subject, item = where.get("subject", "a"), where.get("item", "")
    ended = None if until is None else time_of(until)
    return LoggedFact(kind, subject, item, value, first, until, time_of(first), ended)


NEURON = {"uid": 3, "coldkey": "cold", "permit": True}
FACTS = (
    fact("neuron", NEURON, 10, 30),
    fact("stake", 7, 10, 20),
    fact("stake", 8, 20),
    fact("address", {"ip": "1.2.3.4", "port": 8000}, 15),
    fact("manifest", 4, 12, 20, item="always_on.test"),
    fact("manifest", 2, 20, item="always_on.test"),
    fact("manifest", 1, 12, subject="stranger", item="always_on.test"),
    fact("hyperparameters", {"tempo": 360}, 20, subject=""),
)


def test_the_network_is_composed_of_the_facts_that_hold() -> None:
    history = History(10, 40, FACTS, observed=((10, 19), (25, 39)), manifests_observed=((12, 12),))
    assert history.at(12) == NetworkState(
        block=12,
        known_from=10,
        manifests_known_from=12,
        neurons={"a": PastNeuron("a", 3, "cold", True, 7, "", 0)},
        manifests={"a": {"always_on.test": 4}},
        hyperparameters=None,
    )
    assert history.at(29) == NetworkState(
        block=29,
        known_from=25,
        manifests_known_from=None,
        neurons={"a": PastNeuron("a", 3, "cold", True, 8, "1.2.3.4", 8000)},
        manifests={"a": {"always_on.test": 2}},
        hyperparameters={"tempo": 360},
    )
    assert history.at(30).neurons == {}


@pytest.mark.parametrize(("block", "known_from"), [(19, 10), (20, None), (24, None), (25, 25)])
def test_blocks_that_were_not_observed_are_not_called_known(
    block: int, known_from: int | None
) -> None:
    assert History(10, 40, FACTS, observed=((10, 19), (25, 39))).at(block).known_from == known_from


@pytest.mark.parametrize("block", [9, 40])
def test_a_block_outside_is_refused(block: int) -> None:
    with pytest.raises(ValueError, match=f"block {block} is outside 10 to 39"):
        History(10, 40, FACTS).at(block)


def test_between_the_blocks_of_changes_all_is_the_same() -> None:
    history = History(11, 40, FACTS)
    assert history.change_blocks() == [11, 12, 15, 20, 30]
    for block in range(12, 40):
        previous, now = history.at(block - 1), history.at(block)
        is_same = (previous.neurons, previous.manifests, previous.hyperparameters) == (
            now.neurons,
            now.manifests,
            now.hyperparameters,
        )
        assert is_same == (block not in history.change_blocks()), block


def test_changes_have_what_was_before_and_after() -> None:
    mine = [one for one in FACTS if one.subject == "a"]
    assert changes_of(mine, 13, 31) == [
        Change(15, time_of(15), "address", "", None, {"ip": "1.2.3.4", "port": 8000}),
        Change(20, time_of(20), "manifest", "always_on.test", 4, 2),
        Change(20, time_of(20), "stake", "", 7, 8),
        Change(30, time_of(30), "neuron", "", NEURON, None),
    ]
    assert [one.block for one in changes_of(mine, 10, 30)] == [10, 10, 12, 15, 20, 20]
    assert [one.block for one in changes_of(mine, 20)] == [20, 20, 30]
