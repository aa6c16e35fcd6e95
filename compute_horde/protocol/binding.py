"""A second signature that binds a job request to one validator and one use.

The published signature (`RequestSignature`) names no validator and contains no nonce, so whoever
sees a request could submit it elsewhere or again. A binding is a second signature over both.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from compute_horde import signing

# Distinguishes this signature from all others.
PURPOSE = "compute-horde-request-v1"
NONCE_HEADER = "X-CH-Binding-Nonce"
SIGNATURE_HEADER = "X-CH-Binding-Signature"


class RequestBinding(BaseModel):
    """The user's signature over a request's validator; `nonce` may be used once."""

    model_config = ConfigDict(frozen=True)

    target_validator: str = Field(max_length=64)
    nonce: str = Field(pattern="^[A-Za-z0-9_-]{16,64}$")
    signature: str = Field(max_length=256)

    @classmethod
    def signed(
        cls,
        signer: signing.Signer,
        *,
        target_validator: str,
        nonce: str,
        request_digest: bytes,
        job_namespace: str | None,
    ) -> "RequestBinding":
        """Sign a binding; `request_digest` is what the request's own signature covers."""
        unsigned = cls(target_validator=target_validator, nonce=nonce, signature="")
        blob = unsigned.blob(request_digest, job_namespace)
        return unsigned.model_copy(update={"signature": signing.signed_hex(signer, blob)})

    def blob(self, request_digest: bytes, job_namespace: str | None) -> bytes:
        """The bytes that the user signs."""
        return signing.spaced_json(
            {
                "purpose": PURPOSE,
                "request": request_digest.hex(),
                "target_validator": self.target_validator,
                "nonce": self.nonce,
                "job_namespace": job_namespace,
            }
        )

    def verify(self, signatory: str, request_digest: bytes, job_namespace: str | None) -> None:
        """Raise `BadSignature` unless the request's signatory signed this binding."""
        signing.verify_hex(signatory, self.blob(request_digest, job_namespace), self.signature)

    def headers(self) -> dict[str, str]:
        """The HTTP headers of this binding; the request's body names the validator."""
        return {NONCE_HEADER: self.nonce, SIGNATURE_HEADER: self.signature}

    @classmethod
    def in_headers(
        cls, headers: Mapping[str, str], target_validator: str
    ) -> "RequestBinding | None":
        """The binding in a request's headers, or None; raises `ValueError` when it is malformed."""
        nonce, signature = headers.get(NONCE_HEADER), headers.get(SIGNATURE_HEADER)
        if nonce is None and signature is None:
            return None
        return cls(target_validator=target_validator, nonce=nonce or "", signature=signature or "")
