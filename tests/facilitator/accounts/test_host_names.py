"""Normalization and comparison of host names."""

import pytest

from facilitator.accounts import host_names


@pytest.mark.parametrize(
    ("name", "form"),
    [("FD00:0::1", "[fd00::1]"), ("[fd00::1]", "[fd00::1]"), ("F.example", "f.example")],
)
def test_a_name_is_compared_as_a_host_header_has_it(name, form):
    assert host_names.normalize_host(name) == form
