"""Self-signed certificates of client and server of a streaming job."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

KEY_BITS = 2048
LIFETIME = timedelta(days=365)
LOCAL = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
LOOPBACK = "127.0.0.1"
MAX_PEM_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key and its self-signed certificate."""

    certificate: x509.Certificate
    private_key: rsa.RSAPrivateKey

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        return pem_of(self.certificate)

    @property
    def key_pem(self) -> str:
        """The private key in PEM, which is not sent."""
        return self.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()


def new_identity(address: str | None = LOOPBACK) -> Identity:
    """A new identity for one job, valid for `localhost` and `address`, an IP address or name."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(LOCAL)
        .issuer_name(LOCAL)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(address)), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Identity(certificate, key)


def _names(address: str | None) -> Iterable[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    if address is not None:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        except ValueError:
            names.append(x509.DNSName(address))
    return names


def pem_of(certificate: x509.Certificate) -> str:
    """The certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def read(pem: str) -> x509.Certificate:
    """The first certificate in a PEM text; raises `ValueError` when there is none."""
    if len(pem) > MAX_PEM_CHARACTERS:
        raise ValueError(f"a certificate of more than {MAX_PEM_CHARACTERS} characters")
    return x509.load_pem_x509_certificate(pem.encode())
