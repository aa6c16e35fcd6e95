"""The certificate a user proves himself with to his own streaming job (protocol §8.8)."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

KEY_BITS = 2048
LIFETIME = timedelta(days=365)
LOCAL = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key and its self-signed certificate."""

    certificate: x509.Certificate
    private_key: rsa.RSAPrivateKey

    @property
    def pem(self) -> str:
        """The certificate as the executor wants it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def new_identity() -> Identity:
    """A fresh identity for one job."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
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
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Identity(certificate, key)
