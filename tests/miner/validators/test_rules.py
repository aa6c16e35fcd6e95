"""Which validators are selected."""

from decimal import Decimal

from miner.validators.rules import ALWAYS_ACCEPTED, StakedHotkey, select_validators


def names(stakes, **rule):
    rule = {"minimum": Decimal(1000), "count": 3} | rule
    return set(select_validators([StakedHotkey(h, Decimal(s)) for h, s in stakes.items()], **rule))


def test_those_with_most_stake_are_selected():
    stakes = {"a": 5000, "b": 4000, "c": 3000, "d": 2000}
    assert names(stakes) == {"a", "b", "c"}


def test_those_with_too_little_are_not():
    assert names({"a": 1000, "b": "999.999999999"}) == {"a"}


def test_a_tie_is_broken_the_same_way_every_time():
    stakes = dict.fromkeys("dcba", 2000)
    assert names(stakes) == {"a", "b", "c"}


def test_some_are_always_accepted_and_do_not_count():
    permanent = next(iter(ALWAYS_ACCEPTED))
    stakes = {"a": 5000, "b": 4000, "c": 3000, permanent: 1, "mine": 0}
    assert names(stakes, always=["mine"]) == {"a", "b", "c", permanent, "mine"}
