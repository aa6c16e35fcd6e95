"""A spec becomes the request of the published SDK, byte for byte, or is refused before sending."""

import base64
import json
import time

import pytest

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.binding import RequestBinding
from compute_horde.signing import RequestSignature
from compute_horde_sdk.facilitator.signed_requests import MAX_BODY_BYTES, job_request
from compute_horde_sdk.job_spec import ComputeHordeJobSpec
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ExecutorClass,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
    InvalidRequestError,
)
from tests.compute_horde.vectors import VECTORS
from tests.compute_horde_sdk.pretend import USER, VALIDATOR
from tests.compute_horde_sdk.relayed import relayed

RECORDED = [r for r in VECTORS["sdk_http_requests"] if r["path"] == "/api/v1/job-docker/"]
SENT = RECORDED[:2]
REPORTED = [r for r in VECTORS["sdk_http_requests"] if r["path"] == "/api/v1/cheated-job/"]


def specs():
    """The specs behind the recorded requests."""
    inline = RECORDED[0]["body"]["volumes"][0]["contents"]
    yield (
        ComputeHordeJobSpec(
            executor_class=ExecutorClass.always_on__llm__a6000,
            job_namespace="SN12.0",
            docker_image="ubuntu:22.04",
            args=["sh", "-c", 'echo "zażółć"'],
            env={"B": "2", "A": "1"},
            artifacts_dir="/artifacts",
            input_volumes={
                "/volume/inline": InlineInputVolume(contents=inline),
                "/volume/f.bin": HTTPInputVolume(url="https://files.example/f.bin"),
                "/volume/hf": HuggingfaceInputVolume(
                    repo_id="org/model", revision="main", allow_patterns=["*.json"]
                ),
            },
            output_volumes={
                "/output/out.bin": HTTPOutputVolume(
                    http_method="PUT", url="https://up.example/put?sig=1"
                ),
                "/output/o2.bin": HTTPOutputVolume(
                    http_method="POST",
                    url="https://up.example/post",
                    form_fields={"key": "o2.bin", "policy": "p"},
                ),
            },
            download_time_limit_sec=10,
            execution_time_limit_sec=20,
            upload_time_limit_sec=10,
        ),
        False,
    )
    small = ComputeHordeJobSpec(
        ExecutorClass.always_on__llm__a6000, "SN12.0", "hello-world", 1, 1, 1
    )
    yield small, True


@pytest.mark.parametrize(
    ("given", "recorded"), list(zip(specs(), SENT, strict=True)), ids=["full", "minimal"]
)
async def test_a_job_is_posted_byte_for_byte_as_the_published_sdk_does(
    client, server, given, recorded
):
    spec, trusted = given
    before = time.time_ns()
    await client.create_job(spec, on_trusted_miner=trusted)
    _, path, body, headers = server.seen("POST /api/v1/job")[0]
    assert path == recorded["path"]
    assert body.decode() == recorded["raw_body"]
    sent = {name.lower(): value for name, value in headers.items()}
    assert recorded["headers"].keys() <= sent.keys()
    for name in ("x-ch-signature-type", "x-ch-signatory", "x-ch-signature-scope", "realm"):
        assert sent[name] == recorded["headers"][name]
    assert sent["subnetid"] == "12"
    assert sent["content-type"] == "application/json"
    assert before <= int(sent["x-ch-timestamp-ns"]) <= time.time_ns()


@pytest.mark.parametrize("recorded", REPORTED)
async def test_a_cheat_report_is_posted_as_the_published_sdk_does(client, server, recorded):
    body = recorded["body"]
    answer = await client.report_cheated_job(
        body["job_uuid"], body["trusted_job_uuid"], details=body["details"]
    )
    assert json.loads(answer) == {"message": "Job reported as cheated"}
    assert server.seen("POST /api/v1/cheated")[0][2].decode() == recorded["raw_body"]
    assert server.reports == [body]


async def test_the_signature_covers_what_is_sent(client, server, spec):
    await client.create_job(spec)
    _, _, body, headers = server.seen("POST /api/v1/job")[0]
    sent = json.loads(body)
    fields = {
        key: sent[key]
        for key in ("executor_class", "docker_image", "args", "env", "use_gpu", "artifacts_dir")
    }
    fields["artifacts_dir"] = ""
    fields["on_trusted_miner"] = False
    for name in ("download", "execution", "upload"):
        fields[f"{name}_time_limit"] = sent[f"{name}_time_limit"]
    fields |= {"streaming_start_time_limit": 5, "streaming_details": None}
    fields |= {"volumes": [], "uploads": []}
    text = json.dumps(fields, separators=(",", ":"))
    digest = signing.request_digest(text, int(headers["X-CH-Timestamp-NS"]))
    signing.verify(USER.ss58_address, digest, base64.b64decode(headers["X-CH-Signature"]))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"args": "echo hi"}, "list of words"),
        ({"docker_image": ""}, "docker_image"),
        ({"docker_image": "a" * 256}, "docker_image"),
        ({"job_namespace": "a" * 101}, "job_namespace"),
        ({"artifacts_dir": "artifacts"}, "starts with /"),
        ({"artifacts_dir": ""}, "starts with /"),
        ({"artifacts_dir": "/volume"}, "'/volume' is taken"),
        ({"artifacts_dir": "/proc/self"}, "'/proc/self' is taken"),
        ({"docker_image": "Ubuntu"}, "'Ubuntu': this is no image name"),
        ({"docker_image": "a b"}, "'a b': this is no image name"),
        ({"docker_image": "busybox:"}, "no tag"),
        ({"docker_image": "busybox@sha256:1"}, "no sha256 digest"),
        ({"download_time_limit_sec": -1}, "download_time_limit"),
        ({"executor_class": "nonesuch"}, "executor_class"),
        ({"env": {"A": 1}}, "env"),
        ({"args": ["\ud800"]}, "Unicode"),
        ({"input_volumes": {"/etc/x": HTTPInputVolume(url="http://x")}}, "/volume/"),
        ({"input_volumes": {"/volume/../x": HTTPInputVolume(url="http://x")}}, r"\.\."),
        (
            {"output_volumes": {"/output/../../x": HTTPOutputVolume(http_method="PUT", url="u")}},
            r"\.\.",
        ),
        ({"output_volumes": {"/tmp/x": HTTPOutputVolume(http_method="PUT", url="u")}}, "/output/"),
    ],
)
async def test_what_nobody_could_run_is_refused_before_anything_is_sent(
    client, server, spec, change, complaint
):
    for name, value in change.items():
        setattr(spec, name, value)
    with pytest.raises(ValueError, match=complaint):
        await client.create_job(spec)
    assert not server.requests


async def test_a_job_too_large_to_be_relayed_is_refused_with_its_largest_input(
    client, server, spec
):
    spec.input_volumes = {
        "/volume/small": InlineInputVolume(contents="AAAA"),
        "/volume/large": InlineInputVolume(contents="A" * MAX_BODY_BYTES),
    }
    with pytest.raises(ComputeHordeError, match=r"/volume/large \(1,046,528 bytes\)"):
        await client.create_job(spec)
    assert not server.requests


def test_a_request_is_bound_to_its_validator_and_to_one_use():
    nonces = set()
    for _ in range(2):
        asked = job_request(
            next(specs())[0], USER, validator=VALIDATOR, on_trusted_miner=False, certificate=None
        )
        binding = RequestBinding.in_headers(asked.headers, VALIDATOR)
        signature = RequestSignature(
            signature_type="bittensor",
            signatory=USER.ss58_address,
            timestamp_ns=asked.headers["X-CH-Timestamp-NS"],
            signature=asked.headers["X-CH-Signature"],
        )
        job = relayed(json.loads(asked.body), signature).model_copy(update={"binding": binding})
        assert job.verify() == USER.ss58_address
        elsewhere = binding.model_copy(update={"target_validator": USER.ss58_address})
        with pytest.raises(BadSignature):
            job.model_copy(update={"binding": elsewhere}).verify()
        nonces.add(binding.nonce)
    assert len(nonces) == 2


@pytest.mark.parametrize("validator", ["", "5Abc", VALIDATOR[::-1], VALIDATOR + " "])
async def test_a_malformed_address_of_the_validator_is_refused_before_anything_is_sent(
    server, spec, validator
):
    async with ComputeHordeClient(USER, validator, facilitator_url=server.url) as client:
        with pytest.raises(InvalidRequestError, match="is not the SS58 address of a validator"):
            await client.create_job(spec)
    assert not server.seen("")
