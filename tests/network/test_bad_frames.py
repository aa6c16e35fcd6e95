"""Whatever is said on a socket is answered, bounded, and harms nobody else."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair
from websockets.exceptions import InvalidStatus

from compute_horde.frames import MAX_FRAME_BYTES
from compute_horde.keyfile import load_hotkey
from compute_horde.protocol.capacity import SpecsReported
from compute_horde.protocol.handshake import FacilitatorLogin, Heartbeat, ValidatorAuth
from compute_horde.protocol.job import JobAccepted, JobPayload
from compute_horde.protocol.message import Message
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import GpuPreset, JobState
from compute_horde_sdk.v1 import ExecutorClass
from tests.network.odd import GARBAGE, NOBODY, PIECE_BYTES, too_long
from tests.network.running import BUSYBOX, Running, memory, shell, until
from tests.network.wire import Talk, details, facilitator_url, miner_url, offered, talk

pytestmark = pytest.mark.usefixtures("containers", "steady")

MIB = 2**20
TOO_BIG, NOT_TEXT = 1009, 1007
HELD_SECONDS = 5
STRANGERS_PER_ADDRESS = 32


@pytest.fixture
def validator(network: Running) -> Keypair:
    return load_hotkey(Path(network.env["VALIDATOR_HOTKEY_FILE"]))


def stranger() -> Keypair:
    return Keypair.create_from_mnemonic(Keypair.generate_mnemonic())


def introduction(network: Running, key: Keypair, **changes: Any) -> ValidatorAuth:
    at = int(time.time())
    return ValidatorAuth.signed(key, network.env["MINER_HOTKEY"], at).model_copy(update=changes)


@dataclass(frozen=True)
class Party:
    """One end that validators connect to, and how it speaks."""

    process: str
    frame_bytes: int
    url: Callable[[Running, Keypair], str]
    login: Callable[[Running, Keypair, Talk], Message]
    welcome: Callable[[dict[str, Any]], bool]
    complaint: Callable[[dict[str, Any]], str]


def refusal(answer: dict[str, Any]) -> str:
    """What kind of error the facilitator answers with."""
    assert answer["status"] == "error", answer
    return str(answer["errors"][0]["type"])


FACILITATOR = Party(
    "facilitator",
    16 * MIB,
    lambda network, key: facilitator_url(network),
    lambda network, key, line: line.login(key),
    lambda answer: answer == {"status": "success", "errors": []},
    refusal,
)
MINER = Party(
    "miner",
    MAX_FRAME_BYTES,
    lambda network, key: miner_url(network, f"validator_interface/{key.ss58_address}"),
    lambda network, key, line: introduction(network, key),
    lambda answer: answer["message_type"] == "V0ExecutorManifestRequest",
    details,
)
both = pytest.mark.parametrize("party", [FACILITATOR, MINER], ids=lambda party: party.process)


async def logged_in(line: Talk, party: Party, network: Running, key: Keypair) -> None:
    assert party.welcome(await line.ask(party.login(network, key, line)))


def peak_memory(pid: int) -> int:
    """The most since `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@both
async def test_garbage_is_answered_and_the_line_stays_open(
    network: Running, validator: Keypair, party: Party
) -> None:
    # Before the login a facilitator hears 64 KiB in all.
    short = [frame for frame in GARBAGE.values() if len(frame) < 4096]
    async with talk(party.url(network, validator)) as line:
        for frame in short if party is FACILITATOR else GARBAGE.values():
            assert "alformed" in party.complaint(await line.ask(frame))
        await logged_in(line, party, network, validator)
        for frame in GARBAGE.values():
            assert "alformed" in party.complaint(await line.ask(frame))


@both
async def test_text_that_is_no_unicode_ends_the_line(
    network: Running, validator: Keypair, party: Party
) -> None:
    async with talk(party.url(network, validator)) as line:
        await line.socket.send(b'"\xff\xfe"', text=True)
        assert await line.end() == NOT_TEXT


async def end_of_too_long(party: Party, network: Running, validator: Keypair) -> int:
    """The code after a frame of many pieces that is too long.

    A connection that is closed while its peer still sends is reset, and its last words may be lost
    with it: then it is tried again.
    """
    code = 1006
    for _ in range(5):
        async with talk(party.url(network, validator)) as line:
            await logged_in(line, party, network, validator)
            code = await line.end(too_long(party.frame_bytes))
        if code != 1006:
            break
    return code


@both
async def test_an_oversized_frame_ends_the_line(
    network: Running, validator: Keypair, party: Party
) -> None:
    before = memory(network.pid(party.process))
    async with talk(party.url(network, validator)) as line:
        await logged_in(line, party, network, validator)
        # Said to be too long, and found to be too long.
        assert await line.end("x" * (party.frame_bytes + 1)) == TOO_BIG
    assert await end_of_too_long(party, network, validator) == TOO_BIG
    # What a connection held is given back when it has ended.
    await until(
        lambda: memory(network.pid(party.process)) - before < 2 * party.frame_bytes,
        "memory given back",
    )


@both
async def test_the_longest_frames_leave_nothing_behind(
    network: Running, validator: Keypair, party: Party
) -> None:
    before = memory(network.pid(party.process))
    async with talk(party.url(network, validator)) as line:
        await logged_in(line, party, network, validator)
        for _ in range(3):
            answer = await line.ask("x" * party.frame_bytes)
            assert "alformed" in party.complaint(answer)
    assert memory(network.pid(party.process)) - before < 2 * party.frame_bytes


@both
async def test_strangers_do_not_fill_the_memory(
    network: Running, validator: Keypair, party: Party
) -> None:
    pid = network.pid(party.process)
    forget_peak(pid)
    before = peak_memory(pid)

    async def flood() -> int:
        async with talk(party.url(network, validator)) as line:
            return await line.end("x" * (party.frame_bytes - PIECE_BYTES))

    codes = await asyncio.gather(*(flood() for _ in range(8)))
    # A peer that is still sending may be cut off before it reads why.
    assert set(codes) <= {TOO_BIG, 1006}
    assert peak_memory(pid) - before < 2 * party.frame_bytes


async def test_the_facilitator_hears_no_one_before_the_login(network: Running) -> None:
    status = StatusReported(uuid=NOBODY, status=JobState.RECEIVED)
    async with talk(facilitator_url(network)) as line:
        for message in (Heartbeat(), status):
            assert refusal(await line.ask(message)) == "auth.not_authenticated"


async def test_the_facilitator_refuses_a_false_login(network: Running, validator: Keypair) -> None:
    true, other = FacilitatorLogin.signed(validator), FacilitatorLogin.signed(stranger())
    forged = true.model_copy(update={"signature": other.signature})
    nonsense = true.model_copy(update={"public_key": "zz"})
    for login, kind, code in (
        (other, "auth.validator_not_found", 3001),
        (forged, "auth.signature_invalid", 3000),
        (nonsense, "auth.validator_not_found", 3001),
    ):
        async with talk(facilitator_url(network)) as line:
            assert refusal(await line.ask(login)) == kind
            assert await line.end() == code


async def test_the_facilitator_takes_no_words_out_of_turn(
    network: Running, validator: Keypair
) -> None:
    hotkeys = {"miner_hotkey": NOBODY, "validator_hotkey": NOBODY}
    async with talk(facilitator_url(network)) as line:
        await logged_in(line, FACILITATOR, network, validator)
        for message, kind in (
            (FacilitatorLogin.signed(validator), "auth.already_authenticated"),
            (StatusReported(uuid=NOBODY, status=JobState.COMPLETED), "job.not_found"),
            (SpecsReported(**hotkeys, specs={}, batch_id=NOBODY), "malformed"),
            (JobAccepted(job_uuid=NOBODY), "malformed"),
        ):
            assert refusal(await line.ask(message)) == kind


async def test_a_refused_validator_is_held_before_it_may_come_again(
    network: Running, validator: Keypair
) -> None:
    other = stranger()
    hour_ago = ValidatorAuth.signed(validator, network.env["MINER_HOTKEY"], int(time.time()) - 3600)
    elsewhere = ValidatorAuth.signed(validator, other.ss58_address, int(time.time()))
    forged = introduction(network, other, validator_hotkey=validator.ss58_address)

    async def refused(key: Keypair, *said: Message) -> tuple[str, int, float]:
        url = miner_url(network, f"validator_interface/{key.ss58_address}")
        async with talk(url) as line:
            began = time.monotonic()
            told = details(await (line.ask(*said) if said else line.receive()))
            return told, await line.end(), time.monotonic() - began

    answers = await asyncio.gather(
        refused(other),
        refused(validator, hour_ago),
        refused(validator, elsewhere),
        refused(validator, forged),
    )
    causes = (f"Unknown validator: {other.ss58_address}", "too old", "wrong miner", "mismatches")
    for (told, code, seconds), cause in zip(answers, causes, strict=True):
        assert (cause in told, code) == (True, 1000)
        assert seconds > HELD_SECONDS - 1


async def test_a_storm_of_strangers_is_kept_outside(network: Running) -> None:
    url = miner_url(network, f"validator_interface/{stranger().ss58_address}")
    entered = kept_out = 0
    async with contextlib.AsyncExitStack() as inside:
        for _ in range(2 * STRANGERS_PER_ADDRESS):
            try:
                await inside.enter_async_context(talk(url))
                entered += 1
            except InvalidStatus:
                kept_out += 1
        assert 0 < entered <= STRANGERS_PER_ADDRESS <= kept_out
        # The validator that was there before is served meanwhile.
        assert (await network.run(shell("true"))).status == "completed"


async def test_the_miner_takes_no_words_out_of_turn(network: Running, validator: Keypair) -> None:
    payload = JobPayload(
        job_uuid=NOBODY,
        executor_class=ExecutorClass.always_on__test,
        docker_image=BUSYBOX,
        docker_run_options_preset=GpuPreset.NONE,
        docker_run_cmd=["true"],
        artifacts_dir=None,
    )
    async with talk(MINER.url(network, validator)) as line:
        for _ in range(8):
            await line.socket.send(payload.encode())
        assert "before authentication" in details(await line.ask(payload))
    async with talk(MINER.url(network, validator)) as line:
        await logged_in(line, MINER, network, validator)
        assert f"unknown job_uuid: {NOBODY}" in details(await line.ask(payload))
        assert "Malformed" in details(await line.ask(JobAccepted(job_uuid=NOBODY)))


@pytest.mark.parametrize(
    ("changes", "reason", "told"),
    [
        ({"executor_class": "always_on.quantum"}, "unknown", "executor_class"),
        ({"executor_class": "always_on.llm.a6000"}, "invalid_receipt", "class"),
        ({"validator_signature": "0x" + "0" * 128}, "invalid_signature", "validator_signature"),
        ({"job_started_receipt_signature": "0x" + "0" * 128}, "invalid_receipt", "signature"),
        (
            {
                "volume": {
                    "volume_type": "single_file",
                    "url": "http://127.0.0.1:1/x",
                    "relative_path": "../../etc/x",
                }
            },
            "unknown",
            "'../../etc/x'",
        ),
    ],
    ids=["unknown-class", "other-class", "signature", "receipt", "path"],
)
async def test_an_offer_that_cannot_be_is_declined(
    network: Running, validator: Keypair, changes: dict[str, Any], reason: str, told: str
) -> None:
    offer = offered(network, validator, **changes)
    async with talk(MINER.url(network, validator)) as line:
        await logged_in(line, MINER, network, validator)
        answer = await line.ask(json.dumps(offer))
        while answer["message_type"] == "GenericError":
            answer = await line.receive()
    assert answer["message_type"] == "V0DeclineJobRequest"
    assert (answer["job_uuid"], answer["reason"]) == (offer["job_uuid"], reason)
    assert told in answer["message"]
    query = "SELECT count(*) FROM miner_acceptedjob WHERE uuid = %s"
    assert network.rows("miner", query, offer["job_uuid"]) == [(0,)]


async def test_after_all_that_the_next_job_works(network: Running) -> None:
    job = await network.run(shell("echo fine"))
    assert (job.status, job.result.stdout) == ("completed", "fine\n")
