"""Requests the manifests of miners over short connections."""

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import replace

from compute_horde.adapters.websocket import ConnectionLostError, MessageSocket, open_socket
from compute_horde.errors import ProtocolError
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.handshake import ValidatorAuth
from compute_horde.protocol.links import MINER_TO_VALIDATOR, FromMiner
from compute_horde.signing import Signer
from validator.miners.connection import Address

log = logging.getLogger(__name__)

# All neurons of a subnet at once: silent ones cost one time limit, not one per group.
MAX_CONCURRENT = 256
# A manifest names a few classes. Frames of jobs may be far longer, but 256 of those at once may
# not be held in memory.
MAX_FRAME_BYTES = 64 * 2**10
# A miner sends its manifest after the login, after a few other messages at most.
MAX_FRAMES = 20
# A connection that does not close within this is aborted.
CLOSE_SECONDS = 0.5

_LINK = replace(MINER_TO_VALIDATOR, max_bytes=MAX_FRAME_BYTES)


async def poll(
    miners: Iterable[Address], validator: Signer, timeout_seconds: float
) -> dict[str, Manifest]:
    """The manifests of all miners that answered in time, by hotkey.

    Each miner gets `timeout_seconds` for everything, connecting included.
    """
    limit = asyncio.Semaphore(MAX_CONCURRENT)

    async def one(miner: Address) -> tuple[str, Manifest | None]:
        async with limit:
            return miner.hotkey, await _request_manifest(miner, validator, timeout_seconds)

    answers = await asyncio.gather(*(one(miner) for miner in miners))
    return {hotkey: manifest for hotkey, manifest in answers if manifest is not None}


async def _request_manifest(
    miner: Address, validator: Signer, timeout_seconds: float
) -> Manifest | None:
    url, loop = miner.url(validator.ss58_address), asyncio.get_running_loop()
    manifest, problem = None, ""
    try:
        async with (
            # Aborts a connection that the miner keeps from being closed.
            asyncio.timeout(timeout_seconds + CLOSE_SECONDS) as closing,
            asyncio.timeout(timeout_seconds),
            open_socket(url, _LINK, open_seconds=timeout_seconds) as line,
        ):
            try:
                await line.send(ValidatorAuth.signed(validator, miner.hotkey, int(time.time())))
                manifest = await _manifest(line)
            finally:
                closing.reschedule(loop.time() + CLOSE_SECONDS)
    except (ConnectionLostError, ProtocolError, TimeoutError) as exc:
        problem = str(exc) or "too late"
    if manifest is None:
        log.info("no manifest", extra={"miner": miner.hotkey, "problem": problem})
    return manifest


async def _manifest(line: MessageSocket[FromMiner]) -> Manifest:
    """The first manifest that a miner sends; `ProtocolError` after too much else."""
    problem = ""
    for _ in range(MAX_FRAMES):
        try:
            message = await line.receive()
        except ProtocolError as exc:
            problem = f"; {exc}"
            continue
        if isinstance(message, Manifest):
            return message
    raise ProtocolError(f"no manifest among the first {MAX_FRAMES} messages{problem}")
