"""Ports of streaming jobs: each used by one job, and freed."""

import pytest

from compute_horde.errors import ConfigurationError, HordeError
from executor.streaming import ports

HOST = "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "known"),
    [("6000-6999", range(6000, 7000)), ("7", range(7, 8)), ("0", range(1)), ("1 - 2", range(1, 3))],
)
def test_a_range_is_read(text, known):
    assert ports.parse_range(text) == known


@pytest.mark.parametrize("text", ["", "a", "5-4", "0-7", "-1", "1-65536", "1-2-3"])
def test_what_is_no_range_is_said_so(text):
    with pytest.raises(ConfigurationError, match="6000-6999"):
        ports.parse_range(text)


def free() -> range:
    """A port that was just free."""
    with ports.listen(HOST, range(1)) as found:
        port = found.getsockname()[1]
    return range(port, port + 1)


def test_nobody_else_gets_a_port_that_is_taken():
    only = free()
    with ports.listen(HOST, only), pytest.raises(HordeError, match="no port for streaming is free"):
        ports.listen(HOST, only)


def test_a_port_is_given_back():
    only = free()
    for _ in range(2):
        with ports.listen(HOST, only) as given:
            assert given.getsockname()[1] in only


def test_the_next_free_port_of_a_range_is_found():
    first = free()[0]
    known = range(first, first + 4)
    with ports.listen(HOST, known) as one, ports.listen(HOST, known) as two:
        given = {one.getsockname()[1], two.getsockname()[1]}
    assert len(given) == 2
    assert given <= set(known)


def test_an_address_that_is_not_ours_is_named():
    with pytest.raises(HordeError, match="cannot listen"):
        ports.listen("203.0.113.7", range(1))
