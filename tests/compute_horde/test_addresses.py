"""No user's URL leads into our own network."""

from ipaddress import ip_network

import pytest

from compute_horde.addresses import Reach, is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::169.254.169.254",
        "2002:7f00:1::",
        "::7f00:1",
        "::169.254.169.254",
        "fec0::1",
        "64:ff9b:1::a00:1",
        "2001:0:a00:1:8000:63bf:3fff:fdd2",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "2606:4700::5efe:10.0.0.1",
        "240.0.0.1",
        "192.0.0.192",
        "168.63.129.16",
        "192.88.99.1",
        "3fff::1",
        "2001:db8::1",
    ],
)
def test_a_special_address_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]
)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


def test_the_operator_may_add_networks():
    reach = Reach(networks=(ip_network("10.1.0.0/16"), ip_network("fd00::/8")))
    assert all(map(reach.allows, ("10.1.2.3", "fd00::1", "1.1.1.1")))
    assert not any(map(reach.allows, ("10.2.0.1", "127.0.0.1", "::ffff:10.1.2.3", "fe80::1%eth0")))


def test_everything_may_be_allowed():
    assert Reach(allow_private=True).allows("127.0.0.1")
