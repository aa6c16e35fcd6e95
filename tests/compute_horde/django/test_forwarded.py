"""The client that a proxy names."""

import pytest

from compute_horde.django.forwarded import Forwarded, TrustedProxies, checked_proxies

PROXIES = TrustedProxies(["10.0.0.0/8", "::1"])


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.1.2.3", True),
        ("::1", True),
        ("::ffff:10.0.0.1", True),
        ("11.0.0.1", False),
        ("x", False),
    ],
)
def test_proxies_are_known_by_address_or_network(address: str, trusted: bool) -> None:
    assert PROXIES.trusts(address) is trusted
    assert not TrustedProxies([]).trusts(address)


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"5.5.5.5", "5.5.5.5"),
        (b"1.1.1.1, 5.5.5.5", "5.5.5.5"),
        (b"1.1.1.1, 5.5.5.5, 10.0.0.7", "5.5.5.5"),
        (b"5.5.5.5:4711", "5.5.5.5"),
        (b"[2001:db8::1]:4711", "2001:db8::1"),
        (b"10.0.0.8, 10.0.0.7", "10.0.0.8"),
        (b"5.5.5.5, nonsense", ""),
        (b"5.5.5.5, nonsense, 10.0.0.7", "10.0.0.7"),
        (b"", ""),
    ],
)
def test_only_what_our_own_proxies_wrote_is_believed(header: bytes, client: str) -> None:
    assert PROXIES.read([(b"x-forwarded-for", header)]) == Forwarded(client, "")


def test_several_headers_are_one_list() -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"5.5.5.5")]
    assert PROXIES.read(headers).address == "5.5.5.5"


@pytest.mark.parametrize(("output", "scheme"), [(b"HTTPS", "https"), (b"gopher", "")])
def test_the_scheme_is_one_of_two(output: bytes, scheme: str) -> None:
    assert PROXIES.read([(b"x-forwarded-proto", output)]).scheme == scheme


def test_a_setting_that_names_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="nginx"):
        checked_proxies(["nginx"])
