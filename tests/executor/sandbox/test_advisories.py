"""Version numbers of an engine's components, as distributions write them."""

from itertools import pairwise

import pytest

from executor.sandbox.advisories import version


def test_versions_sort_as_they_were_published():
    ordered = (
        "1.3.9",
        "1.4.0-dev",
        "1.4.0-alpha.1",
        "1.4.0~beta2",
        "v1.4.0-rc.1-12-gabcdef0",
        "1.4.0rc2",
        "1.4.0-RC.10",
        "1.4.0",
        "1.4.1-rc.1",
        "1.4.1",
    )
    for older, newer in pairwise(ordered):
        assert version(older) < version(newer)


@pytest.mark.parametrize(
    "same",
    [
        *("v1.4.0", "1.4.0-1", "1.4.0-0ubuntu1~22.04.1", "1.4.0+ds1-1+deb12u1", "1.4.0~ds1-1"),
        *("v1.4.0-0-gabcdef", "1.4.0+dev", "1.4.0-ce", "runc version 1.4.0\ncommit: x"),
    ],
)
def test_what_a_distribution_adds_to_a_release_makes_it_no_pre_release(same):
    assert version(same) == version("1.4.0")
