"""What all kinds of cases share."""

from fractions import Fraction

import pytest

from validator.scoring.cases.form import CaseForm, half_open, neuron_hotkeys, nonzero


def test_ranges_are_half_open():
    assert half_open(range(3, 7)) == [3, 7]


def test_hotkeys_of_a_test_subnet():
    assert neuron_hotkeys(2) == {"h0": 0, "h1": 1}
    assert neuron_hotkeys(2, digits=3) == {"h000": 0, "h001": 1}


def test_weights_by_uid_without_zeros():
    assert nonzero({2: Fraction(1), 1: Fraction(0)}) == {"2": 1}


def test_a_form_without_outputs_is_no_form():
    with pytest.raises(NotImplementedError):
        CaseForm().outputs()
