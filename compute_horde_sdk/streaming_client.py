"""HTTPS client for a job's streaming server, with mutual TLS."""

import secrets
import time
from dataclasses import dataclass
from typing import Any, Self

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import Certificate
from pydantic import ValidationError

from compute_horde.errors import BadSignature
from compute_horde.protocol.streaming_proof import StreamingProof
from compute_horde.streaming import certificates, signed_answers
from compute_horde.streaming.certificates import Identity, new_identity
from compute_horde.streaming.client_context import client_context
from compute_horde_sdk.errors import ComputeHordeError

__all__ = ["Identity", "JobServer", "StreamingClient", "new_identity"]

CLOCK_SKEW_SECONDS = 30.0
MAX_SIGNED_BYTES = 16 * 2**20
# Jobs may take long to respond, but connect at once.
TIMEOUT = httpx.Timeout(300, connect=10)
# Where the evidence of a signed answer is kept in `response.extensions`.
EVIDENCE = "compute_horde_answer"


@dataclass(frozen=True, slots=True)
class JobServer:
    """Address and certificate of a job's streaming server, as sent by the facilitator."""

    job_uuid: str
    address: str
    port: int
    certificate: str

    def check(self, proof: StreamingProof, validator_hotkey: str) -> None:
        """Raise `ComputeHordeError` unless the job's validator and miner signed this server."""
        where = (self.job_uuid, self.address, self.port, self.certificate)
        try:
            proof.verify(validator_hotkey, where)
        except BadSignature as exc:
            raise ComputeHordeError(
                f"do not connect to job {self.job_uuid}: its server {self.address}:{self.port} is "
                f"not the one that its miner and validator {validator_hotkey} signed ({exc}); the "
                "facilitator may have replaced it. Create a new job and inform the validator"
            ) from exc


class StreamingClient(httpx.AsyncClient):
    """An `httpx.AsyncClient` that trusts only this server and sends the job's certificate.

    URLs may be paths: `await client.get("/health")`.
    """

    def __init__(
        self,
        server: JobServer,
        identity: Identity,
        *,
        clock_skew_seconds: float = CLOCK_SKEW_SECONDS,
    ) -> None:
        host = f"[{server.address}]" if ":" in server.address else server.address
        super().__init__(
            base_url=f"https://{host}:{server.port}",
            verify=client_context(_read_certificate(server), identity),
            timeout=TIMEOUT,
        )
        self._certificate = _read_certificate(server)
        self._skew_ns = int(clock_skew_seconds * 10**9)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self

    async def signed(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request and verify the signature of the job's server on the response.

        The signed hashes and times are in `response.extensions["compute_horde_answer"]`.
        Raises `ComputeHordeError` when the response is not signed or does not match.
        """
        challenge = secrets.token_urlsafe(16)
        request = self.build_request(method, url, **options)
        request.headers[signed_answers.ASK] = challenge
        request.headers["Accept-Encoding"] = "identity"
        input_hash = signed_answers.input_digest(request.method, request.url.raw_path.decode())
        input_hash.feed(await request.aread())
        began = time.time_ns()
        answer = await self.send(request, stream=True)
        try:
            body = await _read_bounded(answer)
        finally:
            await answer.aclose()
        try:
            evidence = signed_answers.SignedAnswer.verified(
                answer.headers, challenge, self._certificate
            )
            self._check(evidence, input_hash.hexdigest(), answer, body, began)
        except BadSignature as exc:
            request_line = f"{request.method} {request.url} was answered {answer.status_code}"
            raise ComputeHordeError(
                f"{request_line}, but the answer is not genuine: {exc}"
            ) from exc
        return httpx.Response(
            answer.status_code,
            headers=answer.headers,
            content=body,
            request=request,
            extensions={EVIDENCE: evidence},
        )

    def _check(
        self,
        evidence: signed_answers.SignedAnswer,
        input_hash: str,
        answer: httpx.Response,
        body: bytes,
        began: int,
    ) -> None:
        output_hash = signed_answers.output_digest(
            answer.status_code, answer.headers.get("Content-Type", "")
        )
        output_hash.feed(body)
        if evidence.input_hash != input_hash:
            raise BadSignature("another request was signed than the one that was sent")
        if evidence.output_hash != output_hash.hexdigest():
            raise BadSignature("another answer was signed than the one that came")
        earliest, latest = began - self._skew_ns, time.time_ns() + self._skew_ns
        if not earliest <= evidence.from_ns <= evidence.to_ns <= latest:
            raise BadSignature(
                f"it is signed for another time, more than {self._skew_ns / 10**9:g} s from ours; "
                "check this machine's clock, or allow more with clock_skew_seconds"
            )


async def _read_bounded(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > MAX_SIGNED_BYTES:
            raise ComputeHordeError(
                f"the signed answer has more than {MAX_SIGNED_BYTES:,} bytes; request it unsigned"
            )
    return bytes(body)


def _read_certificate(server: JobServer) -> Certificate:
    try:
        return certificates.read(server.certificate)
    except ValueError as exc:
        raise ComputeHordeError(
            f"the server certificate of job {server.job_uuid} is invalid ({exc}): make a new job"
        ) from exc


def proof_from(output_hash: Any) -> StreamingProof | None:
    """The proof in a facilitator's JSON, or None; raises `ComputeHordeError` when malformed."""
    if not output_hash:
        return None
    try:
        return StreamingProof.model_validate(output_hash)
    except ValidationError as exc:
        raise ComputeHordeError(
            f"the facilitator's proof of a streaming address is malformed: {exc.error_count()} "
            "errors"
        ) from exc


def client_of(
    server: JobServer,
    certificate: Certificate | None,
    key: RSAPrivateKey | None,
    *,
    clock_skew_seconds: float,
) -> StreamingClient:
    """The client of a job; raises `ComputeHordeError` without its certificate and key."""
    if certificate is None or key is None:
        raise ComputeHordeError(
            f"the private key of job {server.job_uuid} is missing: only the job object that "
            "create_job returned has it. Keep its streaming_private_key and "
            "streaming_public_cert, and set them on a job you fetch"
        )
    return StreamingClient(
        server, Identity(certificate, key), clock_skew_seconds=clock_skew_seconds
    )
