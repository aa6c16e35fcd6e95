"""A streaming job carries its user's certificate."""

import json

from cryptography import x509

from tests.compute_horde.vectors import VECTORS

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
