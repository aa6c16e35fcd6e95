"""The validators' websocket."""

import asyncio
import json

import pytest

from compute_horde.django.database import in_database
from compute_horde.django.guarded_websocket import TRUST
from compute_horde.protocol.handshake import FacilitatorLogin
from facilitator import validator_consumer
from facilitator.jobs import status_reports, validator_connections
from facilitator.models import JobEvent, Validator
from tests.compute_horde.vectors import KEYS, VECTORS
from tests.peers.validator import ValidatorAtFacilitator, result

LOGIN = VECTORS["facilitator_auth_vector"]["message"]
HEARTBEAT = {"message_type": "V0Heartbeat"}


def kind(response) -> str:
    assert response["status"] == "error"
    return response["errors"][0]["type"]


async def test_the_recorded_login_is_accepted(connect):
    line = await connect().open()
    await line.send(LOGIN)
    assert await line.receive() == {"status": "success", "errors": []}
    validator = await in_database(Validator.objects.get)
    assert validator.last_login
    assert validator.version == "unknown"


async def test_a_validator_is_answered_with_extensions_only_when_it_announced_some(connect):
    plain = await connect().log_in()
    extended = await connect(extensions="output, telepathy").log_in()
    found = {
        tuple(sorted(connection.extensions))
        for connection in validator_connections.connections.all()
    }
    assert found == {(), ("output",)}
    await plain.leave()
    await extended.leave()


async def test_a_second_login_is_refused_but_the_line_stays(line):
    await line.send(LOGIN)
    assert kind(await line.receive()) == "auth.already_authenticated"
    await line.send(HEARTBEAT)
    assert await line.receives_nothing()


async def test_a_validator_with_too_many_connections_is_refused_and_disconnected(connect):
    line, asked = connect(), []
    line.scope[TRUST] = asked.append
    await line.open()
    await line.send(LOGIN)
    assert kind(await line.receive()) == "auth.too_many_connections"
    assert await line.closed() == 3001
    assert asked == [line.keypair.ss58_address]
    assert not validator_connections.connections.all()


async def test_an_unknown_validator_is_refused_and_disconnected(connect):
    line = await connect().open()
    await line.send(json.loads(FacilitatorLogin.signed(KEYS["miner"]).encode()))
    assert kind(await line.receive()) == "auth.validator_not_found"
    assert await line.closed() == 3001


async def test_an_inactive_validator_is_disconnected(connect):
    await in_database(Validator.objects.update, is_active=False)
    line = await connect().open()
    await line.send(LOGIN)
    assert kind(await line.receive()) == "auth.validator_not_found"
    assert await line.closed() == 3001


@pytest.mark.parametrize("signature", ["0x" + "00" * 64, "00" * 64, "0xzz", ""])
async def test_a_bad_signature_is_refused_and_disconnected(signature, connect):
    line = await connect().open()
    await line.send(LOGIN | {"signature": signature})
    assert kind(await line.receive()) == "auth.signature_invalid"
    assert await line.closed() == 3000
    assert not (await in_database(Validator.objects.get)).last_login


@pytest.mark.parametrize("public_key", ["", "zz", "00", "00" * 33])
async def test_a_key_that_is_none_is_disconnected(public_key, connect):
    line = await connect().open()
    await line.send(LOGIN | {"public_key": public_key})
    assert kind(await line.receive()) == "auth.validator_not_found"
    assert await line.closed() == 3001


async def test_nothing_is_accepted_before_the_login_but_the_line_stays(connect):
    line = await connect().open()
    for message in (HEARTBEAT, VECTORS["messages"]["JobStatusUpdate"][0]):
        await line.send(message)
        assert kind(await line.receive()) == "auth.not_authenticated"
    await line.send(LOGIN)
    assert (await line.receive())["status"] == "success"


async def test_who_does_not_log_in_is_disconnected(connect, monkeypatch):
    monkeypatch.setattr(validator_consumer, "LOGIN_SECONDS", 0.05)
    line = await connect().open()
    assert await line.closed() == 3001


async def test_heartbeats_and_specs_get_no_answer(line):
    await line.send(HEARTBEAT)
    specs = {
        "message_type": "V0MachineSpecsUpdate",
        "miner_hotkey": KEYS["miner"].ss58_address,
        "validator_hotkey": line.keypair.ss58_address,
        "specs": {"gpu": {"count": 0}},
        "batch_id": "b7c9d0e1-0000-4000-8000-000000000000",
    }
    await line.send(specs)
    assert await line.receives_nothing()
    await line.send(specs | {"validator_hotkey": KEYS["miner"].ss58_address})
    assert kind(await line.receive()) == "malformed"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "PONG?",
        "[]",
        "{}",
        '{"message_type": "V9"}',
        "[" * 50_000,
        '{"message_type":"V0JobStatusUpdate"}',
    ],
)
async def test_a_malformed_frame_is_answered_and_the_line_stays(frame, line):
    await line.send(frame)
    assert kind(await line.receive()) == "malformed"
    await line.send(HEARTBEAT)
    assert await line.receives_nothing()


async def test_each_status_is_answered_and_shown(line, user):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    states = ["received", "accepted", "executor_ready", "volumes_ready", "execution_done"]
    for state in states:
        assert await line.report(uuid, state) == {"status": "success", "errors": []}
    done = result("out", artifacts={"/a/b": "eA=="}, upload_results={"o": "{}"})
    assert (await line.report(uuid, "completed", **done))["status"] == "success"
    job = await user.job(uuid)
    assert [one["status"] for one in job["status_history"]] == ["sent", *states, "completed"]
    assert (job["status"], job["stdout"], job["stderr"]) == ("Completed", "out", "")
    assert (job["artifacts"], job["upload_results"]) == ({"/a/b": "eA=="}, {"o": "{}"})
    assert job["status_history"][-1]["metadata"] == done
    times = [one["created_at"] for one in job["status_history"]]
    assert times == sorted(times)


async def test_answers_come_in_the_order_of_the_reports(line, user):
    first = (await user.create()).json()["uuid"]
    second = (await user.create()).json()["uuid"]
    for _ in range(2):
        await line.receive()
    unknown = "00000000-0000-4000-8000-000000000000"
    for uuid, state in [
        (first, "received"),
        (unknown, "received"),
        (second, "received"),
        (first, "received"),
        (second, "horde_failed"),
    ]:
        await line.send_status(uuid, state)
    await line.send("nonsense")
    answers = [await line.receive() for _ in range(6)]
    kinds = [a["errors"][0]["type"] if a["errors"] else "" for a in answers]
    assert kinds == ["", "job.not_found", "", "job.integrity_error", "", "malformed"]


async def test_a_repeated_status_changes_nothing(line, user):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    await line.report(uuid, "completed", **result("first"))
    for state in ("completed", "failed", "horde_failed", "rejected", "sent", "unknown", "new_word"):
        assert kind(await line.report(uuid, state, **result("x"))) == "job.integrity_error"
    job = await user.job(uuid)
    assert [one["status"] for one in job["status_history"]] == ["sent", "completed"]
    assert job["stdout"] == "first"


async def test_statuses_may_come_in_any_order_and_are_shown_in_that_of_a_jobs_life(line, user):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    for state in ("executor_ready", "received", "completed", "accepted", "volumes_ready"):
        assert (await line.report(uuid, state))["status"] == "success"
    history = (await user.job(uuid))["status_history"]
    assert [one["status"] for one in history] == [
        *("sent", "received", "accepted", "executor_ready", "volumes_ready", "completed")
    ]
    times = [one["created_at"] for one in history]
    assert times == sorted(times)


async def test_a_foreign_validator_may_not_report(line, user, connect):
    await in_database(Validator.objects.create, hotkey=KEYS["miner"].ss58_address)
    foreign = await connect(KEYS["miner"]).log_in()
    uuid = (await user.create()).json()["uuid"]
    assert kind(await foreign.report(uuid, "completed", **result("forged"))) == "job.not_found"
    assert [one["status"] for one in (await user.job(uuid))["status_history"]] == ["sent"]


async def test_nul_bytes_in_the_output_reach_the_user(line, user):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    assert (await line.report(uuid, "completed", **result("a\0b")))["status"] == "success"
    assert (await user.job(uuid))["stdout"] == "a\0b"


async def test_a_failed_job_shows_its_details_without_nulls_and_what_it_printed(line, user):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    details = {
        "reason": "nonzero_return_code",
        "stage": "execution",
        "message": "Job container exited with non-zero exit code: 1",
        "context": None,
        "docker_process_exit_status": 1,
        "docker_process_stdout": "half",
        "docker_process_stderr": None,
    }
    await line.report(uuid, "failed", job_failure_details=details, miner_response=None)
    job = await user.job(uuid)
    shown = {key: value for key, value in details.items() if value is not None}
    assert job["status_history"][-1]["metadata"] == {"job_failure_details": shown}
    assert (job["status"], job["stdout"], job["stderr"]) == ("Failed", "half", "")


async def test_a_streaming_jobs_address_is_shown(line, user):
    details = {"public_key": "PEM"}
    uuid = (await user.create(streaming_details=details)).json()["uuid"]
    assert (await line.receive())["streaming_details"] == {"public_key": "PEM", "executor_ip": None}
    server = {
        "streaming_server_cert": "CERT",
        "streaming_server_address": "203.0.113.7",
        "streaming_server_port": 6006,
    }
    await line.report(uuid, "streaming_ready", streaming_details=server)
    job = await user.job(uuid)
    assert {key: job[key] for key in server} == server
    assert job["streaming_client_cert"] == "PEM"


async def test_the_proof_of_a_streaming_address_is_shown_as_it_came(line, user):
    uuid = (await user.create(streaming_details={"public_key": "PEM"})).json()["uuid"]
    await line.receive()
    proof = {"miner_hotkey": "M", "miner_signature": "0x1", "validator_signature": "0x2"}
    server = {
        "streaming_server_cert": "CERT",
        "streaming_server_address": "203.0.113.7",
        "streaming_server_port": 6006,
    }
    await line.report(uuid, "streaming_ready", streaming_details=server, streaming_proof=proof)
    job = await user.job(uuid)
    assert job["streaming_proof"] == proof
    assert job["status_history"][-1]["metadata"]["streaming_proof"] == proof


async def test_every_recorded_status_is_understood(line, user):
    for recorded in VECTORS["messages"]["JobStatusUpdate"]:
        uuid = (await user.create()).json()["uuid"]
        await line.receive()
        await line.send(recorded | {"uuid": uuid})
        assert (await line.receive())["status"] == "success", recorded


async def test_a_burst_is_stored_in_few_transactions(line, user, monkeypatch):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    batches = []
    write = status_reports.writer._write

    async def counting(key, facts):
        batches.append(len(facts))
        await write(key, facts)

    monkeypatch.setattr(status_reports.writer, "_write", counting)
    states = ["received", "accepted", "executor_ready", "volumes_ready", "execution_done"]
    for state in (*states, "completed"):
        await line.send_status(uuid, state)
    assert {(await line.receive())["status"] for _ in range(6)} == {"success"}
    assert len(batches) <= 2
    assert await in_database(JobEvent.objects.filter(job_id=uuid).count) == 7


async def test_what_could_not_be_stored_is_not_acknowledged(line, user, monkeypatch):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()

    async def broken(*_):
        raise RuntimeError("no disk")

    monkeypatch.setattr(status_reports, "in_database", broken)
    await line.send_status(uuid, "received")
    await line.send_status(uuid, "accepted")
    assert await line.closed() == 1011


async def test_a_connection_that_broke_on_our_side_swallows_no_jobs(
    line, user, connect, monkeypatch
):
    def broken(*_):
        raise RuntimeError("bug")

    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    with monkeypatch.context() as patched:
        patched.setattr(status_reports, "enqueue", broken)
        await line.send_status(uuid, "received")
        line.is_open = False
        with pytest.raises(RuntimeError):
            await line.socket.wait(30)
    assert (await user.create()).json() == ["Could not select Validator"]
    assert (await (await connect().log_in()).receive())["uuid"] == uuid


async def test_many_statuses_of_many_jobs_at_once(line, user):
    uuids = [(await user.create()).json()["uuid"] for _ in range(10)]
    for _ in uuids:
        await line.receive()
    states = ("received", "accepted", "completed")
    for state in states:
        await asyncio.gather(*(line.send_status(uuid, state) for uuid in uuids))
    answers = [await line.receive() for _ in range(len(uuids) * len(states))]
    assert {one["status"] for one in answers} == {"success"}
    jobs = [await user.job(uuid) for uuid in uuids]
    assert {job["status"] for job in jobs} == {"Completed"}


async def test_another_websocket_path_leads_nowhere():
    line = ValidatorAtFacilitator(KEYS["validator"])
    line.socket.scope["path"] = "/ws/v1/"
    await line.socket.send_input({"type": "websocket.connect"})
    assert (await line.socket.receive_output(30))["type"] == "websocket.close"
    await line.socket.wait(30)
