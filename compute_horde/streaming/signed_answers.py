"""Signed answers of a streaming job: hashes and signature over one request and its response.

A request that carries `X-CH-Sign: <challenge>` is answered with the four headers named here. The
signature is by the key of the job's server certificate, which the miner vouches for.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import Certificate

from compute_horde.errors import BadSignature
from compute_horde.signing import colon_text

ASK = "X-CH-Sign"
FROM = "X-CH-Time-From"
TO = "X-CH-Time-To"
INPUT = "X-CH-Input-Hash"
OUTPUT = "X-CH-Output-Hash"
SIGNATURE = "X-CH-Signature"

# Distinguishes this signature from all others.
PREFIX = "compute-horde-answer-v1"
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NANOSECONDS = re.compile(r"[0-9]{1,20}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PADDING = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    """One exchange: its start and end in UNIX nanoseconds, and the hashes of both bodies."""

    challenge: str
    from_ns: int
    to_ns: int
    input_hash: str
    output_hash: str

    def blob(self) -> bytes:
        """The signed bytes, in form C1."""
        return colon_text(
            PREFIX, self.challenge, self.from_ns, self.to_ns, self.input_hash, self.output_hash
        )

    def headers(self, key: rsa.RSAPrivateKey) -> dict[str, str]:
        """The response headers that carry this answer and its signature."""
        signature = key.sign(self.blob(), _PADDING, hashes.SHA256())
        return {
            FROM: str(self.from_ns),
            TO: str(self.to_ns),
            INPUT: self.input_hash,
            OUTPUT: self.output_hash,
            SIGNATURE: base64.b64encode(signature).decode(),
        }

    @classmethod
    def verified(cls, headers: Mapping[str, str], challenge: str, certificate: Certificate) -> Self:
        """The answer in `headers`; raises `BadSignature` unless signed by the certificate's key."""
        values = {name: headers.get(name) for name in (FROM, TO, INPUT, OUTPUT, SIGNATURE)}
        if missing := [name for name, value in values.items() if value is None]:
            raise BadSignature(f"the answer is not signed: it has no {', '.join(missing)}")
        start, end, asked, answered, signature = (str(value) for value in values.values())
        if not (_NANOSECONDS.fullmatch(start) and _NANOSECONDS.fullmatch(end)):
            raise BadSignature("the answer's times are no whole numbers")
        if not (_DIGEST.fullmatch(asked) and _DIGEST.fullmatch(answered)):
            raise BadSignature("the answer's hashes are not SHA-256 in hexadecimal digits")
        answer = cls(challenge, int(start), int(end), asked, answered)
        answer._check(signature, certificate)
        return answer

    def _check(self, signature: str, certificate: Certificate) -> None:
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise BadSignature("the server's certificate has no RSA key")
        try:
            raw = base64.b64decode(signature, validate=True)
            key.verify(raw, self.blob(), _PADDING, hashes.SHA256())
        except (binascii.Error, ValueError) as exc:
            raise BadSignature("the answer's signature is not base64") from exc
        except InvalidSignature as exc:
            text = "the answer's signature is not by the job's server over this exchange"
            raise BadSignature(text) from exc


class Digest:
    """A hash over the first line of a request or answer and its body, as sent."""

    def __init__(self, line: str) -> None:
        self._hash = hashlib.sha256(line.encode("utf-8", "surrogateescape") + b"\n")

    def feed(self, data: bytes) -> None:
        """Add a part of the body."""
        self._hash.update(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def input_digest(method: str, target: str) -> Digest:
    """The hash of a request, which begins with `GET /path?query`; feed it the body."""
    return Digest(f"{method} {target}")


def output_digest(status: int, content_type: str) -> Digest:
    """The hash of a response, which begins with `200 text/plain`; feed it the body."""
    return Digest(f"{status} {content_type}")
