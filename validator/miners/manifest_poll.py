"""Requests the manifests of miners over short connections."""

import asyncio
import logging
import time
from collections.abc import Iterable

from compute_horde.adapters.websocket import ConnectionLostError, open_socket
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.handshake import ValidatorAuth
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.signing import Signer
from validator.miners.connection import Address

log = logging.getLogger(__name__)

MAX_CONCURRENT = 50


async def poll(
    miners: Iterable[Address], validator: Signer, timeout_seconds: float
) -> dict[str, Manifest]:
    """The manifests of all miners that answered in time, by hotkey."""
    limit = asyncio.Semaphore(MAX_CONCURRENT)

    async def one(miner: Address) -> tuple[str, Manifest | None]:
        async with limit:
            return miner.hotkey, await _request_manifest(miner, validator, timeout_seconds)

    answers = await asyncio.gather(*(one(miner) for miner in miners))
    return {hotkey: manifest for hotkey, manifest in answers if manifest is not None}


async def _request_manifest(
    miner: Address, validator: Signer, timeout_seconds: float
) -> Manifest | None:
    url = miner.url(validator.ss58_address)
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            open_socket(url, MINER_TO_VALIDATOR, open_seconds=timeout_seconds) as line,
        ):
            await line.send(ValidatorAuth.signed(validator, miner.hotkey, int(time.time())))
            async for message in line.listen():
                if isinstance(message, Manifest):
                    return message
    except (ConnectionLostError, TimeoutError) as exc:
        log.info("no manifest", extra={"miner": miner.hotkey, "problem": str(exc) or "too late"})
    return None
