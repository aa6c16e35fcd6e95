"""A streaming job carries its user's certificate."""

import json
import time

import httpx
import pytest
from bittensor_core import Keypair
from cryptography import x509

from compute_horde.protocol.streaming_proof import StreamingProof
from compute_horde.signing import colon_text, signed_hex
from compute_horde.streaming import signed_answers
from compute_horde_sdk import peers_requiring_proof
from compute_horde_sdk.streaming_client import EVIDENCE, JobServer, StreamingClient, new_identity
from compute_horde_sdk.v1 import ComputeHordeError, ComputeHordeJob
from tests.compute_horde.vectors import VECTORS

JOB = "3a0c1f5e-7d0b-4c56-9a53-2b6f0e9a1c11"
VALIDATOR_KEY = Keypair.create_from_uri("//Alice")
RECORDED = VECTORS["sdk_http_requests"][8]


async def test_a_streaming_job_carries_a_certificate_whose_key_its_user_keeps(client, server, spec):
    spec.streaming = True
    job = await client.create_job(spec)
    body = json.loads(server.seen("POST /api/v1/job")[0][2])
    assert list(body) == list(RECORDED["body"])
    sent = x509.load_pem_x509_certificate(body["streaming_details"]["public_key"].encode())
    assert sent == job.streaming_public_cert
    assert sent.public_key() == job.streaming_private_key.public_key()
    recorded = x509.load_pem_x509_certificate(
        RECORDED["body"]["streaming_details"]["public_key"].encode()
    )
    assert sent.subject == recorded.subject == sent.issuer
    assert [(e.oid, e.critical, e.value) for e in sent.extensions] == [
        (e.oid, e.critical, e.value) for e in recorded.extensions
    ]
    lives = sent.not_valid_after_utc - sent.not_valid_before_utc
    assert lives == recorded.not_valid_after_utc - recorded.not_valid_before_utc


MINER = Keypair.create_from_uri("//Bob")
HERE = new_identity()


def streaming_fields(job_uuid: str, port: int = 8443, **changes):
    """The facilitator's JSON of a job that is streaming."""
    server = {
        "streaming_server_cert": HERE.pem,
        "streaming_server_address": "192.0.2.7",
        "streaming_server_port": 8443,
    }
    where = (job_uuid, "192.0.2.7", port, HERE.pem)
    signed = signed_hex(MINER, colon_text(*where))
    proof = StreamingProof.given(VALIDATOR_KEY, MINER.ss58_address, signed, where)
    return {"streaming_details": server, "streaming_proof": proof.model_dump()} | changes


def serving(client, **metadata):
    job = ComputeHordeJob(client, JOB, [])
    entry = {"created_at": "2026-01-01T00:00:00Z", "status": "streaming_ready"}
    job.update_from(
        {"uuid": JOB, "status_history": [entry | {"metadata": streaming_fields(JOB) | metadata}]}
    )
    identity = new_identity()
    job.streaming_public_cert, job.streaming_private_key = (
        identity.certificate,
        identity.private_key,
    )
    return job


async def test_the_client_of_a_job_asks_its_server(client):
    async with serving(client).streaming_client(require_proof=True) as service:
        assert str(service.base_url) == "https://192.0.2.7:8443"


async def test_another_server_than_the_signed_one_is_refused(client):
    job = serving(client, streaming_proof=streaming_fields(JOB, port=1)["streaming_proof"])
    with pytest.raises(ComputeHordeError, match="do not connect"):
        job.streaming_client()
    with pytest.raises(ComputeHordeError, match="do not connect"):
        await job.wait_for_streaming(1)


async def test_a_server_that_nobody_signed_is_refused_on_demand(client):
    job = serving(client, streaming_proof=None)
    await job.streaming_client().aclose()
    with pytest.raises(ComputeHordeError, match="is not signed"):
        job.streaming_client(require_proof=True)


async def test_a_malformed_proof_is_no_proof(client):
    with pytest.raises(ComputeHordeError, match="malformed"):
        serving(client, streaming_proof={"miner_hotkey": 1}).streaming_client()


async def test_a_fetched_job_has_no_key(client):
    job = serving(client)
    job.streaming_private_key = None
    with pytest.raises(ComputeHordeError, match="private key"):
        job.streaming_client()


async def test_a_job_that_does_not_serve_yet_has_no_client(client):
    with pytest.raises(ComputeHordeError, match="wait_for_streaming"):
        ComputeHordeJob(client, JOB, []).streaming_client()


class Answering(httpx.AsyncBaseTransport):
    """A job's server that signs one response and sends what a test sets."""

    def __init__(self, change=lambda headers: headers, body=b"answer", at=None):
        self.change, self.body, self.at = change, body, at

    async def handle_async_request(self, request):
        asked = signed_answers.input_digest(request.method, request.url.raw_path.decode())
        asked.feed(await request.aread())
        output = signed_answers.output_digest(200, "text/plain")
        output.feed(b"answer")
        now = self.at or time.time_ns()
        challenge = request.headers[signed_answers.ASK]
        signed = signed_answers.SignedAnswer(
            challenge, now, now, asked.hexdigest(), output.hexdigest()
        )
        headers = self.change({"Content-Type": "text/plain"} | signed.headers(HERE.private_key))
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(self.body))


def asking(transport, **options):
    server = JobServer(JOB, "192.0.2.7", 8443, HERE.pem)
    service = StreamingClient(server, new_identity(), **options)
    service._transport = transport
    return service


async def test_a_signed_answer_is_checked_and_its_evidence_kept():
    async with asking(Answering()) as service:
        answer = await service.signed("POST", "/a?b=%20", json={"c": 1})
    assert answer.text == "answer"
    assert len(answer.extensions[EVIDENCE].output_hash) == 64


HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize(
    ("transport", "named"),
    [
        (Answering(body=b"another"), "another answer was signed"),
        (Answering(lambda headers: headers | {"Content-Type": "a/b"}), "another answer"),
        (
            Answering(lambda headers: headers | {signed_answers.INPUT: "0" * 64}),
            "not by the job's server",
        ),
        (Answering(lambda headers: {}), "is not signed"),
        (Answering(at=time.time_ns() - HOUR_NS), "another time"),
        (Answering(at=time.time_ns() + HOUR_NS), "another time"),
    ],
)
async def test_an_answer_that_is_not_what_was_signed_is_refused(transport, named):
    async with asking(transport) as service:
        with pytest.raises(ComputeHordeError, match=named):
            await service.signed("GET", "/")


async def test_more_skew_may_be_allowed():
    late = Answering(at=time.time_ns() - HOUR_NS)
    async with asking(late, clock_skew_seconds=7200) as service:
        assert (await service.signed("GET", "/")).status_code == 200


async def test_who_has_ever_proved_an_address_is_not_believed_without(client):
    await serving(client).streaming_client().aclose()
    # Also in another process.
    peers_requiring_proof.validators.forget_unsaved()
    job = serving(client, streaming_proof=None)
    for connect in (job.streaming_client, lambda: job.wait_for_streaming(1)):
        with pytest.raises(ComputeHordeError, match="has signed such addresses before"):
            await connect()
    await job.wait_for_streaming(1, require_proof=False)
    await job.streaming_client(require_proof=False).aclose()


async def test_a_proof_that_is_not_right_is_none_to_remember(client):
    forged = serving(client, streaming_proof=streaming_fields(JOB, port=1)["streaming_proof"])
    with pytest.raises(ComputeHordeError, match="do not connect"):
        forged.streaming_client()
    await serving(client, streaming_proof=None).streaming_client().aclose()


async def test_what_cannot_be_stored_is_remembered_in_the_process(client, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    await serving(client).streaming_client().aclose()
    with pytest.raises(ComputeHordeError, match="has signed such addresses before"):
        serving(client, streaming_proof=None).streaming_client()
