"""The connections of one address that are not logged in are limited."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from miner.validators.connection_limit import ConnectionLimiter

ADDRESSES = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]


def test_an_address_has_so_many_connections_and_not_more():
    limiter = ConnectionLimiter(2)
    assert [limiter.admit("192.0.2.1") for _ in range(4)] == [True, True, False, False]
    # Others are not affected, and a refused connection is not counted.
    assert limiter.admit("192.0.2.2")
    limiter.release("192.0.2.1")
    assert [limiter.admit("192.0.2.1") for _ in range(2)] == [True, False]


def test_an_ipv6_network_counts_as_one_address():
    limiter = ConnectionLimiter(1)
    assert limiter.admit("2001:db8::1")
    assert not limiter.admit("2001:db8::2")
    assert limiter.admit("2001:db8:0:1::1")
    limiter.release("2001:db8::2")
    assert limiter.admit("2001:db8::1")


@given(
    st.integers(1, 3), st.lists(st.tuples(st.sampled_from(ADDRESSES), st.booleans()), max_size=40)
)
def test_never_more_than_the_limit_are_open_and_a_free_place_is_given(limit, events):
    limiter, is_open = ConnectionLimiter(limit), Counter()
    for address, wants_in in events:
        if wants_in:
            assert limiter.admit(address) is (is_open[address] < limit)
            is_open[address] = min(is_open[address] + 1, limit)
        elif is_open[address]:
            limiter.release(address)
            is_open[address] -= 1
