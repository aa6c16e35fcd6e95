"""A user's way into his own streaming job (protocol §8.8): nobody else's, and to nobody else."""

import os
import secrets
import ssl
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Self

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import Certificate
from pydantic import ValidationError

from compute_horde import answers, certificates
from compute_horde.certificates import Identity, new_identity
from compute_horde.errors import BadSignature
from compute_horde.protocol.proof import StreamingProof
from compute_horde_sdk.errors import ComputeHordeError

__all__ = ["Identity", "Server", "StreamingClient", "new_identity"]

CLOCK_SKEW_SECONDS = 30.0
MAX_SIGNED_BYTES = 16 * 2**20
# Services think long; what does not even connect is not there.
PATIENCE = httpx.Timeout(300, connect=10)
# Where the evidence of a signed answer is kept in `response.extensions`.
EVIDENCE = "compute_horde_answer"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a job serves, as the facilitator told it."""

    job_uuid: str
    address: str
    port: int
    certificate: str

    def check(self, proof: StreamingProof, validator_hotkey: str) -> None:
        """`ComputeHordeError` unless the job's validator and miner mean exactly this server."""
        where = (self.job_uuid, self.address, self.port, self.certificate)
        try:
            proof.verify(validator_hotkey, where)
        except BadSignature as exc:
            raise ComputeHordeError(
                f"do not connect to job {self.job_uuid}: its server {self.address}:{self.port} is "
                f"not the one that its miner and validator {validator_hotkey} signed ({exc}); the "
                "facilitator may have exchanged it. Make a new job, and tell the validator"
            ) from exc


class StreamingClient(httpx.AsyncClient):
    """An `httpx.AsyncClient` that trusts this one server and shows the job's certificate.

    Paths are enough: `await client.get("/health")`.
    """

    def __init__(
        self,
        server: Server,
        identity: Identity,
        *,
        clock_skew_seconds: float = CLOCK_SKEW_SECONDS,
    ) -> None:
        host = f"[{server.address}]" if ":" in server.address else server.address
        super().__init__(
            base_url=f"https://{host}:{server.port}",
            verify=_context(server, identity),
            timeout=PATIENCE,
        )
        self._certificate = _read(server)
        self._skew_ns = int(clock_skew_seconds * 10**9)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self

    async def signed(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Ask, and have the answer signed by the job's server; `ComputeHordeError` if it is not.

        The answer's hashes and times are in `response.extensions["compute_horde_answer"]`.
        """
        challenge = secrets.token_urlsafe(16)
        request = self.build_request(method, url, **options)
        request.headers[answers.ASK] = challenge
        request.headers["Accept-Encoding"] = "identity"
        asked = answers.input_digest(request.method, request.url.raw_path.decode())
        asked.feed(await request.aread())
        began = time.time_ns()
        answer = await self.send(request, stream=True)
        try:
            body = await _bounded(answer)
        finally:
            await answer.aclose()
        try:
            evidence = answers.SignedAnswer.verified(answer.headers, challenge, self._certificate)
            self._check(evidence, asked.hexdigest(), answer, body, began)
        except BadSignature as exc:
            said = f"{request.method} {request.url} was answered {answer.status_code}"
            raise ComputeHordeError(f"{said}, but do not believe it: {exc}") from exc
        return httpx.Response(
            answer.status_code,
            headers=answer.headers,
            content=body,
            request=request,
            extensions={EVIDENCE: evidence},
        )

    def _check(
        self,
        evidence: answers.SignedAnswer,
        asked: str,
        answer: httpx.Response,
        body: bytes,
        began: int,
    ) -> None:
        told = answers.output_digest(answer.status_code, answer.headers.get("Content-Type", ""))
        told.feed(body)
        if evidence.input_hash != asked:
            raise BadSignature("another request was signed than the one that was sent")
        if evidence.output_hash != told.hexdigest():
            raise BadSignature("another answer was signed than the one that came")
        earliest, latest = began - self._skew_ns, time.time_ns() + self._skew_ns
        if not earliest <= evidence.from_ns <= evidence.to_ns <= latest:
            raise BadSignature(
                f"it is signed for another time, more than {self._skew_ns / 10**9:g} s from ours; "
                "check this machine's clock, or allow more with clock_skew_seconds"
            )


async def _bounded(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > MAX_SIGNED_BYTES:
            raise ComputeHordeError(
                f"the signed answer has more than {MAX_SIGNED_BYTES:,} bytes; ask unsigned"
            )
    return bytes(body)


def _read(server: Server) -> Certificate:
    try:
        return certificates.read(server.certificate)
    except ValueError as exc:
        raise ComputeHordeError(
            f"the server certificate of job {server.job_uuid} is not one ({exc}): make a new job"
        ) from exc


def _context(server: Server, identity: Identity) -> ssl.SSLContext:
    """The server's certificate is known exactly, so its names do not matter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=certificates.pem_of(_read(server)))
    with tempfile.TemporaryDirectory() as folder:
        # Only its owner may enter the folder, and it is gone before anybody is asked.
        path = os.path.join(folder, "identity.pem")
        with open(path, "w") as both:
            both.write(identity.key_pem + identity.pem)
        context.load_cert_chain(path)
    return context


def proof_from(told: Any) -> StreamingProof | None:
    """The proof in a facilitator's JSON; `ComputeHordeError` when it is malformed."""
    if not told:
        return None
    try:
        return StreamingProof.model_validate(told)
    except ValidationError as exc:
        raise ComputeHordeError(
            f"the facilitator's proof of a streaming address is malformed: {exc.error_count()} "
            "errors"
        ) from exc


def client_of(
    server: Server,
    certificate: Certificate | None,
    key: RSAPrivateKey | None,
    *,
    clock_skew_seconds: float,
) -> StreamingClient:
    """The client of a job; `ComputeHordeError` when its key is not at hand."""
    if certificate is None or key is None:
        raise ComputeHordeError(
            f"the private key of job {server.job_uuid} is not here: it stays with the job object "
            "that create_job returned. Keep streaming_private_key and streaming_public_cert, and "
            "set them on a job you fetch"
        )
    return StreamingClient(
        server, Identity(certificate, key), clock_skew_seconds=clock_skew_seconds
    )
