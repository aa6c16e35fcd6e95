"""Conversations recorded with the published validator client, held with our miner."""

import json
import time

import pytest

from compute_horde.protocol.links import MINER_TO_VALIDATOR
from tests.compute_horde.vectors import VECTORS
from tests.miner.conftest import MINER, VALIDATOR
from tests.miner.peers import ValidatorPeer

TRANSCRIPTS = VECTORS["live_transcripts"]
# What the recorded miner passed on from its executor.
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
    """When the client signed in."""
    return next(
        e["msg"]["timestamp"]
        for e in transcript
        if e.get("msg", {}).get("message_type") == "ValidatorAuthForMiner"
    )


@pytest.mark.parametrize("name", ["ok", "fail", "reconnect"])
async def test_a_recorded_conversation_goes_the_same_way(scene, monkeypatch, name):
    transcript = TRANSCRIPTS[name]
    monkeypatch.setattr("miner.jobs.validator_consumer.time.time", lambda: recorded_at(transcript))
    async with scene() as it:
        executor, validator, passed_on, heard = await it.executor(), None, [], set()
        for step in transcript:
            if step.get("event") == "connect":
                if validator:
                    await validator.close()
                validator = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
                await validator.open()
                heard = set()
            elif step.get("dir") == "V->M":
                await validator.say(json.dumps(step["msg"]))
            elif step.get("dir") == "M->V":
                said = step["msg"]
                if said["message_type"] in PROGRESS and said["message_type"] not in passed_on:
                    passed_on.append(said["message_type"])
                    await executor.say(said)
                wanted = MINER_TO_VALIDATOR.decode(json.dumps(said))
                if wanted.encode() not in heard:
                    heard |= await until(validator, wanted)
        assert passed_on == [t for t in types(transcript) if t in PROGRESS]


def types(transcript) -> list[str]:
    return [e["msg"]["message_type"] for e in transcript if "msg" in e]


async def until(validator, wanted) -> set[str]:
    """Listen until `wanted` is said; all that was said."""
    said = set()
    deadline = time.monotonic() + 5
    while wanted.encode() not in said:
        assert time.monotonic() < deadline, wanted
        said.add((await validator.hear()).encode())
    return said
