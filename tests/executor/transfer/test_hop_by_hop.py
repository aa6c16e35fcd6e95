"""Headers about one connection are those of the standard, and only those."""

from executor.transfer.hop_by_hop import HOP_BY_HOP

# RFC 9110 §7.6.1 and §11.7, and RFC 9112 §6.1.
OF_THE_STANDARD = {
    "Connection",
    "Proxy-Connection",
    "Keep-Alive",
    "TE",
    "Transfer-Encoding",
    "Upgrade",
    "Proxy-Authenticate",
    "Proxy-Authorization",
}


def test_those_of_the_standard_are_listed_in_lower_case():
    assert {name.lower() for name in OF_THE_STANDARD} <= HOP_BY_HOP
    assert all(name == name.lower() for name in HOP_BY_HOP)


def test_headers_about_the_message_are_passed_on():
    assert not HOP_BY_HOP & {"authorization", "content-length", "content-type", "range", "host"}
