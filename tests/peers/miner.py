"""A scripted miner, as validators see it, and scripts for it."""

import base64
import hashlib
import io
import time
import zipfile
from collections.abc import Callable
from typing import Any

from bittensor_core import Keypair
from websockets.asyncio.server import ServerConnection

from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.handshake import ValidatorAuth
from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    HordeFailed,
    JobAccepted,
    JobDeclined,
    JobFinished,
    JobOffered,
    JobPayload,
    VolumesReady,
)
from compute_horde.protocol.links import VALIDATOR_TO_MINER
from compute_horde.protocol.message import Message
from compute_horde.signing import verify_hex
from compute_horde.vocabulary import Extension, HordeReason, Party, RejectionReason
from compute_horde.volumes import InlineVolume, Volume
from tests.peers.keys import MINER, VALIDATOR
from tests.peers.websocket_server import WebSocketPeer

Script = Callable[["MinerPeer", Message], list[Message]]


class MinerPeer(WebSocketPeer):
    """A miner; `script` answers each message, `manifest` is what it offers."""

    def __init__(
        self,
        script: Script | None = None,
        manifest: dict[str, int] | None = None,
        keypair: Keypair = MINER,
    ) -> None:
        super().__init__()
        self.script = script or obliging
        self.manifest = {"always_on.test": 2} if manifest is None else manifest
        self.keypair = keypair
        self.accepts_logins = True
        self.extensions: tuple[str, ...] = ()
        self.repeats: list[Message] = []

    @property
    def hotkey(self) -> str:
        return self.keypair.ss58_address

    async def serve(self, socket: ServerConnection) -> None:
        login = VALIDATOR_TO_MINER.decode(await socket.recv())
        assert isinstance(login, ValidatorAuth)
        assert abs(login.timestamp - time.time()) < 10
        verify_hex(VALIDATOR.ss58_address, login.blob(), login.signature)
        if not self.accepts_logins:
            return
        self.announced = login.extensions
        manifest = Manifest(manifest=self.manifest, extensions=self.extensions)
        await socket.send(manifest.encode())
        for message in self.repeats:
            await socket.send(message.encode())
        await self._logged_in()
        async for frame in socket:
            message = VALIDATOR_TO_MINER.decode(frame)
            await self._note(message)
            for reply in self.script(self, message):
                await socket.send(reply.encode())


def extended(miner: MinerPeer) -> MinerPeer:
    """The same miner, announcing every extension."""
    miner.extensions = tuple(Extension)
    return miner


def obliging(miner: MinerPeer, message: Message) -> list[Message]:
    """A miner whose jobs all go well."""
    match message:
        case JobOffered():
            uuid = message.job_uuid
            return [JobAccepted(job_uuid=uuid), ExecutorReady(job_uuid=uuid)]
        case JobPayload():
            return [
                VolumesReady(job_uuid=message.job_uuid),
                ExecutionDone(job_uuid=message.job_uuid),
                result(message.job_uuid),
            ]
        case _:
            return []


def result(uuid: str, stdout: str = "hi\n", **fields: Any) -> JobFinished:
    """A job that went well."""
    return JobFinished(
        job_uuid=uuid, docker_process_stdout=stdout, docker_process_stderr="", **fields
    )


def solving(miner: MinerPeer, message: Message) -> list[Message]:
    """A miner that solves the hash puzzles of synthetic jobs and is obliging otherwise."""
    if not isinstance(message, JobPayload):
        return obliging(miner, message)
    uuid = message.job_uuid
    answer = result(uuid, solved(message.docker_run_cmd) + "\n")
    return [VolumesReady(job_uuid=uuid), ExecutionDone(job_uuid=uuid), answer]


def solved(args: list[str], early_lists: list[str] | None = None) -> str:
    """The answer of a hash puzzle, or the text of an echo job."""
    if args[0] == "echo":
        return args[1]
    _, key, candidates, *lists = args
    salt = hashlib.sha256(key.encode()).hexdigest()
    for one in early_lists or lists:
        algorithm, _, hashes = one.partition(":")
        numbers = {
            hashlib.new(algorithm, f"{salt}{number}".encode()).hexdigest(): str(number)
            for number in range(int(candidates))
        }
        found = [numbers[wanted] for wanted in hashes.split(",")]
        salt = hashlib.sha256(":".join([salt, *found]).encode()).hexdigest()
    return salt


def early_lists(volume: Volume | None) -> list[str]:
    """The lists of hashes that the volume of a puzzle of version 2 holds."""
    if not isinstance(volume, InlineVolume):
        return []
    packed = zipfile.ZipFile(io.BytesIO(base64.b64decode(volume.contents)))
    return packed.read("lists").decode().split()


def offered_then(*replies: type[Message] | Message):
    """A miner that answers an offer with these messages and sends nothing else."""

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobOffered):
            return []
        uuid = message.job_uuid
        return [one(job_uuid=uuid) if isinstance(one, type) else one for one in replies]

    return script


def declining(reason: RejectionReason, times: int = 10**6):
    """A miner that declines the first jobs it is offered."""
    left = [times]

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobOffered) and left[0]:
            left[0] -= 1
            return [JobDeclined(job_uuid=message.job_uuid, reason=reason, message="no")]
        return obliging(miner, message)

    return script


def rest(uuid: str) -> list[Message]:
    return [ExecutionDone(job_uuid=uuid), result(uuid)]


def lost(uuid: str) -> HordeFailed:
    """The miner cannot go on with a job."""
    return HordeFailed(
        job_uuid=uuid,
        reported_by=Party.MINER,
        reason=HordeReason.GENERIC_ERROR,
        message="lost",
    )
