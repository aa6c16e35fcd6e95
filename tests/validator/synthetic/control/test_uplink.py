"""The uplink has failed when the world outside says so, not when some miners do."""

from fractions import Fraction

from tests.validator.synthetic.control.test_faults import at, record
from validator.synthetic.control.faults import FaultKind, Target
from validator.synthetic.control.uplink import (
    MinerSilence,
    common_silence,
    most_silent,
    network_of,
    parties,
    uplink_faults,
)

ONE, OTHER = Target(None, "one:1"), Target(None, "other:1")
INSIDE = Target(FaultKind.CHAIN, "127.0.0.1:9944", is_outside=False)
NOW = at(60)


def silent(number: int, since: float = 5, until: float = 15, **fields: str) -> MinerSilence:
    given = {"host": f"10.{number}.0.1", "coldkey": f"owner {number}"} | fields
    return MinerSilence(f"miner {number}", given["host"], given["coldkey"], (at(since), at(until)))


def answering(number: int, **fields: str) -> MinerSilence:
    one = silent(number, **fields)
    return MinerSilence(one.hotkey, one.host, one.coldkey, None)


def test_networks_count_once() -> None:
    assert network_of("10.1.2.3") == network_of("10.1.2.200") != network_of("10.1.3.3")
    assert (
        network_of("2001:db8:1::1") == network_of("2001:db8:1:2::9") != network_of("2001:db8:2::1")
    )
    assert network_of("example.com") == "example.com"


def test_miners_of_one_owner_or_network_are_one_party_however_they_are_linked() -> None:
    a = silent(1, host="10.1.0.1", coldkey="x")
    b = silent(2, host="10.2.0.1", coldkey="y")
    link = silent(3, host="10.1.0.9", coldkey="y")
    other = silent(4)
    assert [len(one) for one in parties([a, b, other])] == [1, 1, 1]
    assert sorted(len(one) for one in parties([a, b, link, other])) == [1, 3]
    assert len(parties([silent(1, coldkey=""), silent(2, coldkey="")])) == 2


def test_the_moment_at_which_most_are_silent() -> None:
    miners = [silent(1, 0, 10), silent(2, 8, 20), silent(3, 30, 40), answering(4)]
    moment = most_silent(miners)
    assert moment
    assert (moment.at, moment.silent, moment.parties) == (at(8), 2, 4)
    assert moment.share == Fraction(1, 2)
    assert most_silent([answering(1)]) is None


def test_a_party_is_silent_while_all_its_miners_are() -> None:
    assert most_silent([silent(1, coldkey="x"), answering(2, coldkey="x")]) is None


def test_all_addresses_failing_at_once_is_enough() -> None:
    records = {ONE: record("", "refused"), OTHER: record("", "timeout", "")}
    (fault,) = uplink_faults(records, [], [], NOW)
    assert (fault.kind, fault.since, fault.until) == (FaultKind.UPLINK, at(0), at(21))
    assert fault.problem == "all 2 addresses failed, refused"


def test_one_address_that_works_is_enough_to_blame_the_miners() -> None:
    records = {ONE: record("", "refused"), OTHER: record("", "")}
    assert uplink_faults(records, [silent(n) for n in range(20)], [], NOW) == []


def test_addresses_that_failed_at_other_times_prove_nothing() -> None:
    records = {ONE: record("", "refused", "", "", ""), OTHER: record("", "", "", "", "refused", "")}
    assert uplink_faults(records, [], [], NOW) == []


def test_a_single_address_needs_half_of_the_parties() -> None:
    failing = {ONE: record("", "refused")}
    half = [silent(1), silent(2), answering(3), answering(4)]
    (fault,) = uplink_faults(failing, half, [], NOW)
    assert fault.problem == "refused, and 2 of 4 parties were silent at once"
    assert uplink_faults(failing, half[1:], [], NOW) == []
    assert uplink_faults(failing, [silent(1), silent(2)], [], NOW) == []
    assert uplink_faults({ONE: record("", "")}, half, [], NOW) == []


def test_two_miners_that_collude_are_not_enough() -> None:
    """Neither with many hotkeys of two owners, nor where an address that worked is not there."""
    hotkeys = [silent(number, coldkey=f"owner {number % 2}") for number in range(40)]
    others = [answering(100 + number) for number in range(8)]
    assert uplink_faults({ONE: record("", "refused")}, [*hotkeys, *others], [], NOW) == []
    assert uplink_faults({}, [*hotkeys, *others], [], NOW) == []


def test_without_an_address_nearly_all_of_many_parties_must_be_silent() -> None:
    many = [silent(number) for number in range(9)]
    (fault,) = uplink_faults({}, [*many, answering(9)], [], NOW)
    assert (fault.since, fault.until) == (at(5), at(5))
    assert uplink_faults({}, [*many, answering(9), answering(10)], [], NOW) == []
    assert uplink_faults({}, many[:7], [], NOW) == []


def test_addresses_inside_or_that_never_worked_say_nothing_of_the_uplink() -> None:
    records = {INSIDE: record("", ""), ONE: record("refused", "refused")}
    assert uplink_faults(records, [silent(number) for number in range(9)], [], NOW)


def test_a_lost_default_route_is_enough() -> None:
    (fault,) = uplink_faults({}, [], [(at(1), at(2), "this machine has none")], NOW)
    assert (fault.target, fault.since, fault.until) == ("default route", at(1), at(2))


def test_a_miner_is_silent_while_all_its_attempts_are() -> None:
    assert common_silence([(at(0), at(10)), (at(5), at(20))]) == (at(5), at(10))
    assert common_silence([(at(0), at(1)), (at(5), at(20))]) is None
