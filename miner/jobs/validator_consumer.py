"""The miner's end of a validator's websocket."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError

from compute_horde.django.consumer import MessageConsumer
from compute_horde.django.wary import trust
from compute_horde.errors import ProtocolError
from compute_horde.protocol import extensions
from compute_horde.protocol.capacity import MainHotkey, Manifest
from compute_horde.protocol.extensions import CancelOrdered, IntervalReceiptIssued
from compute_horde.protocol.handshake import GenericError, ValidatorAuth
from compute_horde.protocol.job import JobOffered, JobPayload
from compute_horde.protocol.links import VALIDATOR_TO_MINER, ToMiner
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.vocabulary import Extension
from miner.assembly import Miner
from miner.jobs import cancel
from miner.jobs.output import Mouth
from miner.validators import rules

log = logging.getLogger(__name__)

EARLY_MESSAGES = 8
EARLY_BYTES = 2**20
AUTH_SECONDS = 30.0
UNTOLD_MESSAGES = 10_000


class ValidatorConsumer(MessageConsumer):
    """Knows who is there, then hands each message to the desk; says what the relay tells."""

    incoming = VALIDATOR_TO_MINER

    def __init__(self, miner: Miner, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extensions: frozenset[Extension] = frozenset()
        self._miner = miner
        self._hotkey = ""
        self._address = ""
        self._stranger = False
        self._authenticated = False
        self._rejected = False
        self._raw = ""
        self._understood = False
        self._early: list[tuple[ToMiner, str]] = []
        self._mouth = Mouth(miner.output.kept, output=False)
        self._tasks: set[asyncio.Task[None]] = set()
        self._work: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Let in who is known; hold the others for a while, since they would be back at once."""
        self._hotkey = self.scope["url_route"]["kwargs"]["hotkey"]
        peer = self.scope.get("client")
        self._address = peer[0] if peer else ""
        self._stranger = self._miner.doorman.admits(self._address)
        if not self._stranger:
            await self.close()
            return
        await self.accept()
        if refusal := self._miner.directory.refusal(self._hotkey):
            await self._reject(refusal)
        else:
            self._spawn(self._expect_auth())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """One frame; its text is kept while it is looked at, since signatures cover it."""
        if self._rejected:
            return
        self._raw = (
            text_data if text_data is not None else (bytes_data or b"").decode(errors="replace")
        )
        self._understood = False
        await super().receive(text_data, bytes_data)
        self._raw = ""

    async def handle(self, message: ToMiner) -> None:
        """Nothing is done for anyone who has not logged in."""
        self._understood = True
        match message:
            case GenericError():
                log.info(
                    "validator complains",
                    extra={"validator": self._hotkey, "details": (message.details or "")[:500]},
                )
            case ValidatorAuth():
                await self._log_in(message)
            case _ if self._authenticated:
                await self._heard(message, self._raw)
            case _:
                self._keep_for_later(message)

    async def complain(self, problem: ProtocolError) -> None:
        """Say what was wrong, and let no job hang because of it."""
        await super().complain(problem)
        if self._authenticated and not self._understood:
            await self._miner.desk.unreadable(self._raw, str(problem), self._hotkey, self)

    def tell(self, text: str, job_uuid: str) -> None:
        """Say a fact as soon as the earlier ones are said; one who never listens is cut off."""
        if len(self._mouth) < UNTOLD_MESSAGES:
            self._mouth.say(text, job_uuid)
        else:
            log.warning("validator does not listen", extra={"validator": self._hotkey})
            self._spawn(self.close(1011))

    async def disconnect(self, code: int) -> None:
        """Its jobs go on; it will hear of them when it is back."""
        self._no_stranger()
        self._miner.relay.leave(self._hotkey, self)
        self._miner.output.leave(self._hotkey, self._mouth)
        for task in self._tasks:
            task.cancel()

    async def _log_in(self, auth: ValidatorAuth) -> None:
        miner, trusted = self._miner, self._miner.config.trusted
        distrust = rules.distrust(
            auth,
            path_hotkey=self._hotkey,
            miner_hotkey=None if trusted else miner.hotkey.ss58_address,
            now=time.time(),
        )
        if distrust:
            text = f"Validator {self._hotkey} not authenticated due to: {distrust}"
            await self._reject(text)
            return
        trust(self.scope)
        self.extensions = extensions.announced(auth.extensions)
        ours = extensions.in_kind(auth.extensions)
        await self.say(Manifest(manifest=dict(miner.pool.manifest), extensions=ours))
        if self._authenticated:
            return
        self._authenticated = True
        self._no_stranger()
        if Extension.OUTPUT in self.extensions:
            self._mouth = Mouth(miner.output.kept, output=True)
            miner.output.join(self._hotkey, self._mouth)
        miner.relay.join(self._hotkey, self)
        self._spawn(self._speak())
        early, self._early = self._early, []
        for message, raw in early:
            await self._guarded(self._heard(message, raw))

    async def _heard(self, message: ToMiner, raw: str) -> None:
        desk = self._miner.desk
        match message:
            case JobOffered():
                self._spawn(desk.offer(message, raw, self._hotkey, self), self._work)
            case JobPayload():
                await desk.payload(message, raw, self._hotkey, self)
            case AcceptedReceiptIssued() | IntervalReceiptIssued() | FinishedReceiptIssued():
                if isinstance(message, FinishedReceiptIssued):
                    self._miner.output.closed(message.payload.job_uuid, self._hotkey)
                self._spawn(desk.receipt(message, self._hotkey), self._work)
            case CancelOrdered():
                work = cancel.obey(desk, message, raw, self._hotkey, self)
                self._spawn(work, self._work)
            case MainHotkey():
                ours = self._miner.config.main_hotkey or self._miner.hotkey.ss58_address
                await self.say(MainHotkey(main_hotkey=ours))

    def _keep_for_later(self, message: ToMiner) -> None:
        size = sum(len(raw) for _, raw in self._early) + len(self._raw)
        if len(self._early) >= EARLY_MESSAGES or size > EARLY_BYTES:
            raise ProtocolError("too much was said before authentication")
        self._early.append((message, self._raw))

    async def _speak(self) -> None:
        """First what was said while nobody listened, then what is said now."""
        window = timedelta(seconds=self._miner.config.resend_seconds)
        try:
            floor = self._miner.floor
            async for uuid, text in floor.unclosed(self._hotkey, window, self.extensions):
                if not floor.is_printing(uuid):
                    for piece in self._mouth.rest_of(uuid):
                        await self._send(piece)
                await self._send(text)
            while True:
                await self._send(await self._mouth.next())
        except (OperationalError, InterfaceError) as exc:
            # Not told what it missed, it would wait in vain; it will be back.
            log.error("facts out of reach", extra={"validator": self._hotkey, "why": str(exc)})
        except Exception:
            log.exception("cannot speak to a validator", extra={"validator": self._hotkey})
        await self.close(1011)

    async def _send(self, text: str) -> None:
        try:
            await self.send(text_data=text)
        except (RuntimeError, OSError):
            log.info("peer gone while speaking", extra={"validator": self._hotkey})

    async def _expect_auth(self) -> None:
        await asyncio.sleep(AUTH_SECONDS)
        if not (self._authenticated or self._rejected):
            await self._reject(f"Validator {self._hotkey} not authenticated in time")

    async def _reject(self, why: str) -> None:
        """Tell why, hold the socket a while, close it."""
        log.info("validator rejected", extra={"validator": self._hotkey, "why": why})
        self._rejected = True
        self._miner.relay.leave(self._hotkey, self)
        await self.say(GenericError(details=why))
        self._spawn(self._close_later())

    async def _close_later(self) -> None:
        await asyncio.sleep(self._miner.config.reject_seconds)
        await self.close(1000)

    def _no_stranger(self) -> None:
        if self._stranger:
            self._stranger = False
            self._miner.doorman.forget(self._address)

    def _spawn(
        self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]] | None = None
    ) -> None:
        """Run something beside; what is not the line's own outlives it."""
        among = self._tasks if among is None else among
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        among.add(task)
        task.add_done_callback(among.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """The edge: what a task did wrong is told or logged, and nothing else is disturbed."""
        try:
            await work
        except ProtocolError as exc:
            await super().complain(exc)
        except Exception:
            log.exception("a validator's message failed", extra={"validator": self._hotkey})
