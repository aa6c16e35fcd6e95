"""A part of all weights goes to burn targets."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from validator.scoring.burn import BurnRule, burned, main_burner
from validator.scoring.u16 import scaled_to_max

THREE = BurnRule(frozenset({"x", "y", "z"}), rate=Fraction("0.3"), partition=Fraction("0.8"))
MINERS = {"a": Fraction("0.6"), "b": Fraction("0.4")}


def test_the_worked_burn():
    after = burned(MINERS, THREE, main="y")
    assert after == {
        "a": Fraction("0.42"),
        "b": Fraction("0.28"),
        "y": Fraction("0.24"),
        "x": Fraction("0.03"),
        "z": Fraction("0.03"),
    }
    assert scaled_to_max(list(after.values())) == [65535, 43690, 37449, 4681, 4681]


def test_a_single_target_gets_all_of_it():
    rule = BurnRule(frozenset({"x"}), rate=Fraction("0.3"), partition=Fraction("0.8"))
    assert burned(MINERS, rule, main="x")["x"] == Fraction("0.3")


def test_without_targets_or_rate_nothing_burns():
    assert burned(MINERS, BurnRule(frozenset(), Fraction(1), Fraction(1)), main=None) == MINERS
    assert burned(MINERS, BurnRule(frozenset("x"), Fraction(0), Fraction(1)), main="x") == MINERS


def test_a_miner_may_be_a_target():
    rule = BurnRule(frozenset({"a"}), rate=Fraction("0.5"), partition=Fraction(0))
    assert burned(MINERS, rule, main="a") == {"a": Fraction("0.8"), "b": Fraction("0.2")}


def test_all_validators_choose_the_same_main_burner():
    targets = ["z", "x", "y", "x"]
    chosen = [main_burner(targets, cycle_start=start) for start in range(0, 722 * 30, 722)]
    assert chosen == [main_burner({"y", "x", "z"}, cycle_start=n * 722) for n in range(30)]
    assert set(chosen) == {"x", "y", "z"}
    assert main_burner([], cycle_start=0) is None


@given(st.frozensets(st.sampled_from("abxyz")), st.fractions(0, 1), st.fractions(0, 1))
def test_the_sum_stays_the_same(targets, rate, partition):
    rule = BurnRule(targets, rate, partition)
    assert sum(burned(MINERS, rule, main=main_burner(targets, cycle_start=7)).values()) == 1
