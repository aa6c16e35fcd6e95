"""Conversations recorded with the published validator client, replayed with this miner."""

import json
import time

import pytest

from compute_horde.protocol.links import MINER_TO_VALIDATOR
from tests.compute_horde.vectors import VECTORS
from tests.miner.conftest import MINER, VALIDATOR
from tests.miner.peers import ValidatorPeer

TRANSCRIPTS = VECTORS["live_transcripts"]
# Messages that the recorded miner forwarded from its executor.
PROGRESS = {
    "V0ExecutorReadyRequest",
    "V0VolumesReadyRequest",
    "V0ExecutionDoneRequest",
    "V0MachineSpecsRequest",
    "V0JobFinishedRequest",
    "V0JobFailedRequest",
    "V0HordeFailedRequest",
}


def recorded_at(transcript) -> float:
    """When the client logged in."""
    return next(
        e["msg"]["timestamp"]
        for e in transcript
        if e.get("msg", {}).get("message_type") == "ValidatorAuthForMiner"
    )


@pytest.mark.parametrize("name", ["ok", "fail", "reconnect"])
async def test_a_recorded_conversation_is_reproduced(run_miner, monkeypatch, name):
    transcript = TRANSCRIPTS[name]
    monkeypatch.setattr("miner.jobs.validator_consumer.time.time", lambda: recorded_at(transcript))
    async with run_miner() as it:
        executor, validator, forwarded, received = await it.executor(), None, [], set()
        for step in transcript:
            if step.get("event") == "connect":
                if validator:
                    await validator.close()
                validator = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
                await validator.open()
                received = set()
            elif step.get("dir") == "V->M":
                await validator.send(json.dumps(step["msg"]))
            elif step.get("dir") == "M->V":
                sent = step["msg"]
                if sent["message_type"] in PROGRESS and sent["message_type"] not in forwarded:
                    forwarded.append(sent["message_type"])
                    await executor.send(sent)
                wanted = MINER_TO_VALIDATOR.decode(json.dumps(sent))
                if wanted.encode() not in received:
                    received |= await until(validator, wanted)
        assert forwarded == [t for t in types(transcript) if t in PROGRESS]


def types(transcript) -> list[str]:
    return [e["msg"]["message_type"] for e in transcript if "msg" in e]


async def until(validator, wanted) -> set[str]:
    """Receive until `wanted` arrives; all messages received."""
    received = set()
    deadline = time.monotonic() + 5
    while wanted.encode() not in received:
        assert time.monotonic() < deadline, wanted
        received.add((await validator.receive()).encode())
    return received
