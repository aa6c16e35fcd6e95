"""Creating jobs: what is accepted, and what is refused with which error."""

import asyncio
import json
import time
from typing import Any

import pytest

from compute_horde.protocol.job import JobRequested
from compute_horde.vocabulary import SignatureScope
from tests.compute_horde.vectors import KEYS, VECTORS
from tests.peers.api_user import User, job_body

RECORDED = [r for r in VECTORS["sdk_http_requests"] if r["path"] == "/api/v1/job-docker/"]
CREATE = "/api/v1/job-docker/"


def signature_headers(recorded: dict[str, Any]) -> dict[str, str]:
    return {k: v for k, v in recorded["headers"].items() if k.startswith("x-ch-")}


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda r: r["body"]["docker_image"])
async def test_requests_of_the_published_sdk_are_relayed_so_that_validators_can_verify_them(
    recorded, user, line, configure
):
    configure(max_signature_age_seconds=float("inf"))
    answer = await user.post(CREATE, recorded["raw_body"], signature_headers(recorded))
    assert answer.status_code == 201, answer.content
    frame = await line.receive()
    assert JobRequested.model_validate(frame).verify() == user.hotkey
    full = VECTORS["job_request_signature_vectors"]["full"]["relayed_V2JobRequest"]
    assert frame.keys() == full.keys()
    if recorded is RECORDED[0]:
        assert json.dumps(frame) == json.dumps(full | {"uuid": answer.json()["uuid"]})


async def test_the_job_object_is_that_of_the_published_api(user, line):
    job = (await user.create()).json()
    example = VECTORS["facilitator_job_response_example"]
    assert job.keys() == example.keys()
    assert job["status_history"][0].keys() == example["status_history"][0].keys()
    assert [one["status"] for one in job["status_history"]] == ["sent"]
    assert (job["status"], job["stdout"], job["artifacts"]) == ("Sent", "", {})
    assert (job["args"], job["env"]) == (["echo", "hi"], {"B": "2", "A": "1"})


async def test_the_order_of_keys_survives_storage(user, line):
    env = {"z": "1", "a": "2", "m": "3"}
    job = (await user.create(env=env)).json()
    assert list((await line.receive())["env"]) == list(env)
    assert list((await user.job(job["uuid"]))["env"]) == list(env)


async def test_a_null_artifacts_dir_and_absent_lists_are_fine(user, line):
    signed = user.sign_job(job_body() | {"args": [], "env": {}, "artifacts_dir": None})
    body = {k: v for k, v in job_body().items() if k not in {"args", "env", "artifacts_dir"}}
    assert (await user.post(CREATE, body, signed)).status_code == 201
    assert (await user.create(artifacts_dir=None)).status_code == 201


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("executor_class", "always_on.quantum"),
        ("executor_class", None),
        ("docker_image", ""),
        ("docker_image", "x" * 256),
        ("docker_image", "a\0b"),
        ("args", "echo"),
        ("args", ["x" * 131_072]),
        ("args", ["x" * 100_000] * 11),
        ("env", {"A": {}}),
        ("env", {"A": "x" * 131_072}),
        ("env", {str(n): "" for n in range(4097)}),
        ("download_time_limit", -1),
        ("execution_time_limit", 2**31),
        ("artifacts_dir", "../../etc/x"),
        ("artifacts_dir", "/a/../etc"),
        ("artifacts_dir", "/a:/b"),
        ("tag", "x" * 256),
        ("target_validator_hotkey", ""),
    ],
)
async def test_a_bad_field_is_named(field, value, user, line):
    answer = await user.create(**{field: value})
    assert answer.status_code == 400
    assert [name.split(".")[0] for name in answer.json()] == [field]
    assert await line.receives_nothing()


@pytest.mark.parametrize(
    "path", ["../../etc/x", "/etc/x", "a//b", "a/./b", "a\0", "a\\b", "x" * 256]
)
async def test_a_volume_or_upload_outside_the_jobs_directory_is_refused(path, user, line):
    volume = {"volume_type": "single_file", "url": "https://a.example/", "relative_path": path}
    upload = {
        "output_upload_type": "single_file_put",
        "url": "https://a.example/",
        "relative_path": path,
        "signed_headers": None,
    }
    for field, value in (("volumes", [volume]), ("uploads", [upload])):
        answer = await user.create(**{field: value})
        assert answer.status_code == 400
        assert next(iter(answer.json())).startswith(f"{field}.")
    assert await line.receives_nothing()


async def test_a_body_that_is_no_json_is_refused(user, line):
    for body in ("{", "[" * 100_000, "[]", '"x"', b"\xff", "[" + "0," * 60_000 + "0]"):
        answer = await user.post(CREATE, body, user.sign_job(job_body()))
        assert answer.status_code == 400, body[:20]


async def test_an_unsigned_request_is_refused(user, line):
    answer = await user.post(CREATE, job_body())
    assert answer.status_code == 400
    assert answer.json()["error"] == "Signature not found"


@pytest.mark.parametrize(
    "changes",
    [
        {"X-CH-Signature-Scope": "Everything"},
        {"X-CH-Timestamp-NS": "soon"},
        {"X-CH-Timestamp-NS": str(2**64)},
    ],
)
async def test_malformed_signature_headers_count_as_none(changes, user, line):
    answer = await user.create(changes)
    assert answer.status_code == 400
    assert answer.json()["error"] == "Signature not found"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"X-CH-Signature": "AAAA"}, "64 bytes"),
        ({"X-CH-Signature": "!"}, "base64"),
        ({"X-CH-Signature-Type": "pgp"}, "pgp"),
        ({"X-CH-Signature-Scope": "FullRequest"}, "scope"),
        ({"X-CH-Timestamp-NS": str(time.time_ns() - 301 * 10**9)}, "s ago"),
        ({"X-CH-Timestamp-NS": str(time.time_ns() + 10**12)}, "in the future"),
        ({"X-CH-Signatory": KEYS["miner"].ss58_address}, "logged in as"),
    ],
)
async def test_a_wrong_signature_is_refused_with_its_reason(changes, reason, user, line):
    answer = await user.create(changes)
    assert answer.status_code == 400
    assert answer.json()["error"] == "Invalid signature provided"
    assert reason in answer.json()["details"]
    assert await line.receives_nothing()


async def test_a_request_changed_after_signing_is_refused(user, line):
    answer = await user.post(
        CREATE, job_body() | {"docker_image": "evil"}, user.sign_job(job_body())
    )
    assert answer.status_code == 400
    assert answer.json()["error"] == "Invalid signature provided"


async def test_somebody_elses_signature_does_not_count(user, stranger, line):
    answer = await user.post(CREATE, job_body(), stranger.sign_job(job_body()))
    assert answer.status_code == 400
    assert "logged in as" in answer.json()["details"]


async def test_without_a_connected_validator_there_is_no_job(user):
    for hotkey in (KEYS["validator"].ss58_address, KEYS["miner"].ss58_address, "nobody"):
        answer = await user.create(target_validator_hotkey=hotkey)
        assert answer.status_code == 400
        assert answer.json() == ["Could not select Validator"]


async def test_a_replayed_request_is_refused_and_names_the_job_it_made(user, line):
    headers = user.sign_job(job_body())
    first = await user.post(CREATE, job_body(), headers)
    again = await user.post(CREATE, job_body(), headers)
    assert (first.status_code, again.status_code) == (201, 400)
    assert again.json()["error"] == "replayed"
    assert first.json()["uuid"] in again.json()["details"]
    assert (await line.receive())["uuid"] == first.json()["uuid"]
    assert await line.receives_nothing()


async def test_a_request_cannot_be_replayed_to_another_validator_or_with_another_tag(user, line):
    headers = user.sign_job(job_body())
    assert (await user.post(CREATE, job_body(), headers)).status_code == 201
    again = await user.post(CREATE, job_body() | {"tag": "x", "job_namespace": "y"}, headers)
    assert again.json()["error"] == "replayed"


async def test_the_same_idempotency_key_and_body_make_one_job(user, line):
    key = {"Idempotency-Key": "k1"}
    body = job_body()
    same = user.sign_job(body) | key
    answers = [
        await user.post(CREATE, body, same),
        await user.post(CREATE, body, same),
        await user.post(CREATE, body, user.sign_job(body) | key),
    ]
    assert [one.status_code for one in answers] == [201, 200, 200]
    assert len({one.json()["uuid"] for one in answers}) == 1
    await line.receive()
    assert await line.receives_nothing()


async def test_a_retry_finds_its_job_though_the_validator_left(user, line):
    first = await user.create({"Idempotency-Key": "k"})
    await line.leave()
    assert (await user.create({"Idempotency-Key": "k"})).json()["uuid"] == first.json()["uuid"]


async def test_the_same_idempotency_key_with_another_body_is_refused(user, line):
    first = await user.create({"Idempotency-Key": "k1"})
    other = await user.create({"Idempotency-Key": "k1"}, docker_image="other")
    assert other.status_code == 422
    assert first.json()["uuid"] in other.json()["details"]


async def test_idempotency_keys_of_two_users_do_not_meet(user, stranger, line):
    first = await user.create({"Idempotency-Key": "k1"})
    second = await stranger.create({"Idempotency-Key": "k1"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["uuid"] != second.json()["uuid"]


async def test_requests_with_one_key_at_once_make_one_job(user, line):
    answers = await asyncio.gather(*(user.create({"Idempotency-Key": "k"}) for _ in range(6)))
    assert sorted(one.status_code for one in answers) == [200] * 5 + [201]
    assert len({one.json()["uuid"] for one in answers}) == 1
    await line.receive()
    assert await line.receives_nothing()


async def test_a_strange_idempotency_key_is_refused(user, line):
    for key in ("", "x" * 256):
        answer = await user.create({"Idempotency-Key": key})
        assert answer.status_code == 400
        assert answer.json()["error"] == "Idempotency-Key malformed"


async def test_a_job_too_long_for_validators_is_refused_with_its_size_and_a_remedy(user, line):
    contents = "A" * 2**20
    volume = {"volume_type": "inline", "contents": contents, "relative_path": None}
    answer = await user.create(volumes=[volume])
    assert answer.status_code == 413
    assert "1048576" in answer.json()["details"]
    assert "URL" in answer.json()["details"]
    assert await line.receives_nothing()


async def test_a_job_just_short_enough_is_relayed(user, line):
    volume = {"volume_type": "inline", "contents": "A" * (2**20 - 2000), "relative_path": None}
    assert (await user.create(volumes=[volume])).status_code == 201
    assert len((await line.receive())["volume"]["volumes"][0]["contents"]) == 2**20 - 2000


async def test_nul_in_arguments_and_environment_survives(user, line):
    job = (await user.create(args=["a\0b"], env={"A": "\0"})).json()
    assert (await line.receive())["args"] == ["a\0b"]
    assert (await user.job(job["uuid"]))["env"] == {"A": "\0"}


async def report_cheat(user: User, **body: Any) -> Any:
    text = json.dumps(body, sort_keys=True)
    return await user.post(
        "/api/v1/cheated-job/", body, user.sign(text, SignatureScope.FULL_REQUEST)
    )


async def two_jobs(user: User, line: Any) -> dict[str, str]:
    uuids = [
        (await user.create(on_trusted_miner=trusted)).json()["uuid"] for trusted in (False, True)
    ]
    for _ in uuids:
        await line.receive()
    return dict(zip(("job_uuid", "trusted_job_uuid"), uuids, strict=True))


@pytest.mark.parametrize("details", [None, {"why": "mismatch"}])
async def test_a_cheat_report_reaches_the_validator_with_its_details(details, user, line):
    uuids = await two_jobs(user, line)
    answer = await report_cheat(user, **uuids, details=details)
    assert answer.status_code == 201
    assert answer.json() == {"message": "Job reported as cheated"}
    frame = await line.receive()
    assert frame["message_type"] == "V0JobCheated"
    assert frame["details"] == details
    assert {key: frame[key] for key in uuids} == uuids
    again = await report_cheat(user, **uuids, details=details)
    assert again.status_code == 400
    assert again.json() == {"error": "Cheat report already exists for this job"}
    assert await line.receives_nothing()


@pytest.mark.parametrize(
    "details", [float("nan"), [float("inf")], json.loads("[" * 300 + "]" * 300)]
)
async def test_details_that_validators_would_not_receive_as_signed_are_refused(details, user, line):
    uuids = await two_jobs(user, line)
    answer = await report_cheat(user, **uuids, details=details)
    assert (answer.status_code, list(answer.json())) == (400, ["details"])


async def test_a_cheat_report_waits_for_an_absent_validator(user, line, connect):
    uuids = await two_jobs(user, line)
    for uuid in uuids.values():
        await line.report(uuid, "received")
    await line.leave()
    assert (await report_cheat(user, **uuids, details=1)).status_code == 201
    back = await connect().log_in()
    assert (await back.receive())["details"] == 1
    assert await back.receives_nothing()


async def test_cheat_reports_need_two_own_jobs_of_the_right_kinds(user, stranger, line):
    uuids = await two_jobs(user, line)
    swapped = dict(zip(uuids, reversed(uuids.values()), strict=True))
    answer = await report_cheat(user, **swapped, details=None)
    assert (answer.status_code, answer.json()) == (404, {"error": "Job not found"})
    both = uuids | {"trusted_job_uuid": uuids["job_uuid"]}
    answer = await report_cheat(user, **both, details=None)
    assert (answer.status_code, answer.json()) == (404, {"error": "Trusted job not found"})
    answer = await report_cheat(stranger, **uuids, details=None)
    assert (answer.status_code, answer.json()) == (404, {"error": "Job not found"})
    answer = await report_cheat(user, job_uuid="x", trusted_job_uuid="y", details=None)
    assert answer.status_code == 400
    assert set(answer.json()) == {"job_uuid", "trusted_job_uuid"}


async def test_a_cheat_report_too_long_for_validators_is_refused(user, line):
    uuids = await two_jobs(user, line)
    answer = await report_cheat(user, **uuids, details="x" * 2**20)
    assert answer.status_code == 413
    assert (await report_cheat(user, **uuids, details="x")).status_code == 201


async def test_a_cheat_report_is_signed(user, line):
    uuids = await two_jobs(user, line)
    answer = await user.post("/api/v1/cheated-job/", uuids | {"details": None})
    assert answer.json()["error"] == "Signature not found"
    headers = user.sign("other", SignatureScope.FULL_REQUEST)
    answer = await user.post("/api/v1/cheated-job/", uuids | {"details": None}, headers)
    assert answer.json()["error"] == "Invalid signature provided"
