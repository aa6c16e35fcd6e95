"""Certificates of the published shape."""

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from compute_horde.streaming import certificates
from tests.compute_horde.vectors import VECTORS

RECORDED = VECTORS["sdk_http_requests"][8]["body"]["streaming_details"]["public_key"]


def extensions(certificate):
    return [(e.oid, e.critical, e.value) for e in certificate.extensions]


def test_a_certificate_has_the_published_shape():
    made, recorded = certificates.new_identity().certificate, certificates.read(RECORDED)
    assert made.subject == made.issuer == recorded.subject
    assert extensions(made) == extensions(recorded)
    assert made.signature_hash_algorithm.name == recorded.signature_hash_algorithm.name == "sha256"
    assert made.public_key().key_size == recorded.public_key().key_size == 2048
    assert made.public_key().public_numbers().e == 65537


@pytest.mark.parametrize(
    ("address", "name"),
    [("203.0.113.7", "203.0.113.7"), ("2001:db8::1", "2001:db8::1"), ("a.example", "a.example")],
)
def test_a_server_is_named_by_its_address(address, name):
    made = certificates.new_identity(address).certificate
    names = made.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert [str(one.value) for one in names] == ["localhost", name]


def test_one_without_an_address_is_named_localhost():
    made = certificates.new_identity(None).certificate
    names = made.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_only_the_first_certificate_of_a_text_counts():
    first, second = certificates.new_identity(), certificates.new_identity()
    assert certificates.read(first.pem + second.pem) == first.certificate


@pytest.mark.parametrize("text", ["", "PEM", "x" * 10**6, "-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_said_so(text):
    with pytest.raises(ValueError):
        certificates.read(text)
