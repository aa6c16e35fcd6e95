"""The main hotkey of a coldkey gets most of what its hotkeys earned."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.scoring.main_hotkey import MainHotkeyRule, has_moved, split

RULE = MainHotkeyRule(share=Fraction("0.8"), bonus=Fraction("0.1"))


def test_the_worked_coldkeys():
    first = split(["h1", "h2"], Fraction(120), now="h2", before="h1", rule=RULE)
    second = split(["h3"], Fraction(80), now=None, before=None, rule=RULE)
    assert first == {"h1": Fraction("26.4"), "h2": Fraction("105.6")}
    assert second == {"h3": 80}
    shares = [float(part) / 212 for part in (first["h2"], first["h1"], second["h3"])]
    assert shares == pytest.approx([0.4981, 0.1245, 0.3774], abs=5e-5)


def test_without_a_dance_there_is_no_bonus():
    parts = split(["h1", "h2"], Fraction(120), now="h2", before="h2", rule=RULE)
    assert [parts["h2"] / 200, parts["h1"] / 200] == [Fraction("0.48"), Fraction("0.12")]


def test_a_main_hotkey_elsewhere_divides_evenly_and_still_dances():
    parts = split(["a", "b"], Fraction(10), now="elsewhere", before="a", rule=RULE)
    assert parts == {"a": Fraction("5.5"), "b": Fraction("5.5")}


@pytest.mark.parametrize(
    ("now", "before", "moved"),
    [("a", "b", True), ("a", "a", False), (None, "a", False), ("a", None, False), ("", "a", False)],
)
def test_both_main_hotkeys_must_be_known_for_a_dance(now, before, moved):
    assert has_moved(now, before) is moved


def test_nobody_gets_nothing():
    assert split([], Fraction(5), now="a", before="b", rule=RULE) == {}


@given(
    st.lists(st.sampled_from("abcdef"), min_size=1),
    st.fractions(0, 10**6),
    st.sampled_from([None, *"abcx"]),
    st.sampled_from([None, *"ab"]),
)
def test_the_parts_sum_to_the_total_exactly(hotkeys, total, now, before):
    parts = split(hotkeys, total, now=now, before=before, rule=RULE)
    bonus = Fraction(11, 10) if has_moved(now, before) else 1
    assert sum(parts.values()) == total * bonus
    assert parts.keys() == set(hotkeys)
