"""Requests the manifests of miners, and main hotkeys, over short connections."""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from compute_horde.adapters.websocket import ConnectionLostError, MessageSocket, open_socket
from compute_horde.errors import ProtocolError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.capacity import MainHotkey, Manifest
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
# How long a miner may take to name the main hotkey; then its manifest counts without.
MAIN_HOTKEY_SECONDS = 10.0
# A connection that does not close within this is aborted.
CLOSE_SECONDS = 0.5

Answer = TypeVar("Answer", Manifest, MainHotkey)

_LINK = replace(MINER_TO_VALIDATOR, max_bytes=MAX_FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class PolledMiner:
    """What a miner answered; `main_hotkey` is None where it was not asked or named none."""

    manifest: Mapping[ExecutorClass, int]
    main_hotkey: str | None = None


async def poll(
    miners: Iterable[Address],
    validator: Signer,
    timeout_seconds: float,
    asked_for_main: Collection[str] = (),
) -> dict[str, PolledMiner]:
    """The manifests of all miners that answered in time, by hotkey.

    Each miner gets `timeout_seconds` for everything, connecting included. The hotkeys in
    `asked_for_main` are also asked for the main hotkey of their coldkey (protocol §5.14).
    """
    limit = asyncio.Semaphore(MAX_CONCURRENT)

    async def one(miner: Address) -> tuple[str, PolledMiner | None]:
        async with limit:
            request = _Request(validator, timeout_seconds, miner.hotkey in asked_for_main)
            return miner.hotkey, await _polled(miner, request)

    answers = await asyncio.gather(*(one(miner) for miner in miners))
    return {hotkey: answer for hotkey, answer in answers if answer is not None}


@dataclass(frozen=True, slots=True)
class _Request:
    validator: Signer
    timeout_seconds: float
    asks_for_main: bool


async def _polled(miner: Address, request: _Request) -> PolledMiner | None:
    url, loop = miner.url(request.validator.ss58_address), asyncio.get_running_loop()
    answer, problem, seconds = None, "", request.timeout_seconds
    try:
        async with (
            # Aborts a connection that the miner keeps from being closed.
            asyncio.timeout(seconds + CLOSE_SECONDS) as closing,
            asyncio.timeout(seconds),
            open_socket(url, _LINK, open_seconds=seconds) as line,
        ):
            try:
                login = ValidatorAuth.signed(request.validator, miner.hotkey, int(time.time()))
                await line.send(login)
                manifest = await _first(Manifest, line)
                answer = PolledMiner(manifest.manifest)
                if request.asks_for_main:
                    answer = replace(answer, main_hotkey=await _main_hotkey(line, miner.hotkey))
            finally:
                closing.reschedule(loop.time() + CLOSE_SECONDS)
    except (ConnectionLostError, ProtocolError, TimeoutError) as exc:
        problem = str(exc) or "too late"
    if answer is None:
        log.info("no manifest", extra={"miner": miner.hotkey, "problem": problem})
    return answer


async def _main_hotkey(line: MessageSocket[FromMiner], miner: str) -> str | None:
    """The main hotkey that a miner names within `MAIN_HOTKEY_SECONDS`, or None."""
    with suppress(ConnectionLostError, ProtocolError, TimeoutError):
        async with asyncio.timeout(MAIN_HOTKEY_SECONDS):
            await line.send(MainHotkey())
            return (await _first(MainHotkey, line)).main_hotkey
    log.info("no main hotkey", extra={"miner": miner})
    return None


async def _first(kind: type[Answer], line: MessageSocket[FromMiner]) -> Answer:
    """The first message of a kind that a miner sends; `ProtocolError` after too much else."""
    problem = ""
    for _ in range(MAX_FRAMES):
        try:
            message = await line.receive()
        except ProtocolError as exc:
            problem = f"; {exc}"
            continue
        if isinstance(message, kind):
            return message
    raise ProtocolError(f"no {kind.__name__} among the first {MAX_FRAMES} messages{problem}")
