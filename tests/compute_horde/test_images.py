"""Which images a list of patterns is meant for."""

import pytest

from compute_horde.images import is_listed

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "pattern"),
    [
        ("org/name", "org/name"),
        ("org/name:v1", "org/name"),
        (f"org/name@{DIGEST}", "org/name"),
        ("org/name:v1", "org/name:v1"),
        ("org/name", "org/name:latest"),
        (f"org/name:v1@{DIGEST}", f"org/name@{DIGEST}"),
        ("org/name:v1", "org/*"),
        ("org/name:v12", "org/name:v1*"),
        ("host:5000/name:v1", "host:5000/name"),
        ("anything/at:all", "*"),
    ],
)
def test_listed(image, pattern):
    assert is_listed(image, ["another", pattern])


@pytest.mark.parametrize(
    ("image", "pattern"),
    [
        ("org/name2", "org/name"),
        ("evil/org/name", "org/name"),
        ("org/name:v2", "org/name:v1"),
        ("org/name", "org/name:v1"),
        (f"org/name:v1@{DIGEST}", "org/name:v1"),
        ("org/name:v1", f"org/name@{DIGEST}"),
        ("host:5000/name", "host/name"),
        ("ORG/name", "org/name"),
        ("", "org/name"),
    ],
)
def test_not_listed(image, pattern):
    assert not is_listed(image, [pattern])


def test_an_empty_list_has_nobody():
    assert not is_listed("org/name", [])
