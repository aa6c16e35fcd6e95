"""The websocket of a validator, on the miner's side."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError

from compute_horde.concurrency.byte_budget import ByteGate, memory_of
from compute_horde.concurrency.task_set import TaskSet
from compute_horde.django.consumer import MessageConsumer
from compute_horde.django.guarded_websocket import trust
from compute_horde.errors import ProtocolError
from compute_horde.protocol import extensions
from compute_horde.protocol.capacity import MainHotkey, Manifest
from compute_horde.protocol.extensions import CancelOrdered, IntervalReceiptIssued
from compute_horde.protocol.handshake import GenericError, ValidatorAuth
from compute_horde.protocol.job import JobOffered, JobPayload
from compute_horde.protocol.links import VALIDATOR_TO_MINER, ToMiner
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.vocabulary import Extension
from miner.jobs import cancellation
from miner.jobs.output_relay import OutboundQueue
from miner.validators import rules
from miner.wiring import Miner

log = logging.getLogger(__name__)

EARLY_MESSAGES = 8
EARLY_BYTES = 2**20
AUTH_SECONDS = 30.0
# Limits of the messages being handled; the next frame is not read before there is room.
CONNECTION_WORK_BYTES = 64 * 2**20
ALL_WORK_BYTES = 256 * 2**20
# How long a published validator may take to send the first message on a connection for a new job.
FIRST_MESSAGE_SECONDS = 0.5


all_work = ByteGate(ALL_WORK_BYTES)


class ValidatorConsumer(MessageConsumer):
    """Authenticates a validator, passes its messages to the job intake, and sends it messages."""

    incoming = VALIDATOR_TO_MINER

    def __init__(self, miner: Miner, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extensions: frozenset[Extension] = frozenset()
        self._miner = miner
        self._served = miner.served[0]
        self._intake = miner.intake_of(self._served)
        self._hotkey = ""
        self._parties = self._intake.parties("")
        self._address = ""
        self._is_counted = False
        self._first_message = asyncio.Event()
        self._resumed_job = ""
        self._authenticated = False
        self._auth: ValidatorAuth | None = None
        self._rejected = False
        self._raw = ""
        self._was_decoded = False
        self._early: list[tuple[ToMiner, str]] = []
        self._queue = self._new_queue(output=False)
        self._is_cut_off = False
        self._gate = ByteGate(CONNECTION_WORK_BYTES, all_work)
        # Cancelled when the connection ends.
        self._tasks = TaskSet()
        # The handling of messages, which goes on then.
        self._work = TaskSet()

    @property
    def has_received(self) -> bool:
        """Whether any message was received since the login."""
        return self._first_message.is_set()

    async def connect(self) -> None:
        """Accept the connection; an unknown validator gets the reason and is disconnected later."""
        self._hotkey = self.scope["url_route"]["kwargs"]["hotkey"]
        self._served = self._miner.served_at(self.scope)
        self._intake = self._miner.intake_of(self._served)
        self._parties = self._intake.parties(self._hotkey)
        peer = self.scope.get("client")
        self._address = peer[0] if peer else ""
        self._is_counted = self._miner.connection_limiter.admit(self._address)
        if not self._is_counted:
            await self.close()
            return
        await self.accept()
        if refusal := self._miner.directory.refusal(self._hotkey):
            await self._reject(refusal)
        else:
            self._spawn(self._enforce_login_timeout())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Handle one frame; its text is kept meanwhile, because signatures cover it."""
        if self._rejected:
            return
        self._raw = (
            text_data if text_data is not None else (bytes_data or b"").decode(errors="replace")
        )
        self._was_decoded = False
        await super().receive(text_data, bytes_data)
        self._raw = ""

    async def handle(self, message: ToMiner) -> None:
        """Handle one message; before the login, messages are only kept."""
        self._was_decoded = True
        match message:
            case GenericError():
                log.info(
                    "error reported by validator",
                    extra={"validator": self._hotkey, "details": (message.details or "")[:500]},
                )
            case ValidatorAuth():
                await self._log_in(message)
            case _ if self._authenticated:
                await self._process(message, self._raw)
            case _:
                self._keep_early(message)

    async def complain(self, problem: ProtocolError) -> None:
        """Report a protocol error, and decline or end the job that the message was about."""
        await super().complain(problem)
        if self._authenticated and not self._was_decoded:
            await self._intake.handle_invalid(self._raw, str(problem), self._hotkey, self)

    def enqueue(self, text: str, job_uuid: str) -> None:
        """Queue a message to be sent; a validator that does not read is disconnected."""
        if not self._is_cut_off:
            self._queue.put(text, job_uuid)

    def _on_overflow(self) -> None:
        """Disconnect; when the validator reconnects, it gets the messages again."""
        self._is_cut_off = True
        log.warning(
            "validator does not read its messages, disconnecting it",
            extra={"validator": self._hotkey},
        )
        self._spawn(self.close(1011))

    def _new_queue(self, *, output: bool) -> OutboundQueue:
        return OutboundQueue(
            self._miner.output_relay.buffer, output=output, overflowed=self._on_overflow
        )

    async def disconnect(self, code: int) -> None:
        """Stop sending; the jobs continue, and are reported when the validator reconnects."""
        self._is_cut_off = True
        self._stop_counting()
        self._miner.validator_sockets.remove(self._parties, self)
        self._miner.output_relay.unsubscribe(self._parties, self._queue)
        self._queue.close()
        await self._tasks.cancel()

    async def _log_in(self, auth: ValidatorAuth) -> None:
        miner, trusted = self._miner, self._miner.config.trusted
        problem = rules.login_problem(
            auth,
            path_hotkey=self._hotkey,
            miner_hotkey=None if trusted else self._parties.miner,
            now=time.time(),
        )
        if not problem and auth != self._auth:
            problem = miner.logins.refusal(auth)
        if not problem and not trust(self.scope, self._hotkey):
            problem = "too many connections of this validator are open; close some"
        if problem:
            text = f"Validator {self._hotkey} not authenticated due to: {problem}"
            await self._reject(text)
            return
        self._auth = auth
        self.extensions = extensions.announced(auth.extensions)
        supported = extensions.in_kind(auth.extensions)
        manifest = miner.offers.manifest(self._parties.miner)
        await self.send_message(Manifest(manifest=manifest, extensions=supported))
        if self._authenticated:
            return
        self._authenticated = True
        self._stop_counting()
        if Extension.OUTPUT in self.extensions:
            self._queue = self._new_queue(output=True)
            miner.output_relay.subscribe(self._parties, self._queue)
        miner.validator_sockets.add(self._parties, self)
        self._spawn(self._send_messages())
        early, self._early = self._early, []
        for message, raw in early:
            await self._report_errors(self._process(message, raw))

    async def _process(self, message: ToMiner, raw: str) -> None:
        intake, size = self._intake, memory_of([message, raw])
        if not self.has_received:
            self._resumed_job = _job_of_first_message(message)
            self._first_message.set()
        match message:
            case JobOffered():
                await self._run_within_limit(
                    intake.handle_offer(message, raw, self._hotkey, self), size
                )
            case JobPayload():
                await intake.handle_payload(message, raw, self._hotkey, self)
            case AcceptedReceiptIssued() | IntervalReceiptIssued() | FinishedReceiptIssued():
                if isinstance(message, FinishedReceiptIssued):
                    self._miner.output_relay.on_receipt(message.payload.job_uuid, self._parties)
                await self._run_within_limit(
                    intake.handle_receipt(message, self._hotkey, self), size
                )
            case CancelOrdered():
                work = cancellation.cancel(intake, message, raw, self._hotkey, self)
                await self._run_within_limit(work, size)
            case MainHotkey():
                await self.send_message(MainHotkey(main_hotkey=self._miner.main_hotkey.hotkey))

    async def _run_within_limit(self, work: Coroutine[Any, Any, None], size: int) -> None:
        """Handle a message of `size` bytes in a task, after waiting until there is room for it."""
        try:
            await self._gate.enter(size)
        except asyncio.CancelledError:
            work.close()
            raise
        task = self._work.spawn(self._report_errors(work))
        task.add_done_callback(lambda _: self._gate.leave(size))

    def _keep_early(self, message: ToMiner) -> None:
        early = [*self._early, (message, self._raw)]
        if len(early) > EARLY_MESSAGES or memory_of(early) > EARLY_BYTES:
            raise ProtocolError("too many messages before authentication")
        self._early = early

    async def _send_messages(self) -> None:
        """Send messages until that fails, then close the connection."""
        await self._report_errors(self._send_missed_and_new())
        await self.close(1011)

    async def _send_missed_and_new(self) -> None:
        """Send the messages that the validator missed, then new ones."""
        window = timedelta(seconds=self._miner.config.resend_seconds)
        active_jobs = self._miner.active_jobs
        try:
            missed = await active_jobs.unclosed(self._parties, window)
            await self._wait_for_first_message()
            if self._is_for_one_job:
                missed = [self._resumed_job] if self._resumed_job in missed else []
            async for uuid, text in active_jobs.messages_of(missed, self.extensions):
                if not active_jobs.is_printing(uuid):
                    for piece in self._queue.rest_of(uuid):
                        await self._send(piece)
                await self._send(text)
            while True:
                await self._send(await self._queue.next())
        except (OperationalError, InterfaceError, ProtocolError) as exc:
            # Without the missed messages the validator would wait in vain; it will reconnect.
            log.error("messages cannot be read", extra={"validator": self._hotkey, "why": str(exc)})

    @property
    def _is_for_one_job(self) -> bool:
        """Whether the connection is one that a published validator opened for one job."""
        return self.has_received and not self.extensions

    async def _wait_for_first_message(self) -> None:
        """Wait a moment for the first message of a published validator: it names the job."""
        if not self.extensions:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
                    await self._first_message.wait()

    async def _send(self, text: str) -> None:
        try:
            await self.send(text_data=text)
        except (RuntimeError, OSError):
            log.info(
                "message not sent: the validator is disconnected", extra={"validator": self._hotkey}
            )

    async def _enforce_login_timeout(self) -> None:
        await asyncio.sleep(AUTH_SECONDS)
        if not (self._authenticated or self._rejected):
            await self._reject(f"Validator {self._hotkey} not authenticated in time")

    async def _reject(self, why: str) -> None:
        """Send the reason, and close the connection after `reject_seconds`."""
        log.info("validator rejected", extra={"validator": self._hotkey, "why": why})
        self._rejected = True
        self._miner.validator_sockets.remove(self._parties, self)
        await self.send_message(GenericError(details=why))
        self._spawn(self._close_later())

    async def _close_later(self) -> None:
        await asyncio.sleep(self._miner.config.reject_seconds)
        await self.close(1000)

    def _stop_counting(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._miner.connection_limiter.release(self._address)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task that is cancelled when the connection ends."""
        self._tasks.spawn(self._report_errors(work))

    async def _report_errors(self, work: Coroutine[Any, Any, None]) -> None:
        """Await `work`; report a protocol error to the validator, and log any other."""
        try:
            await work
        except ProtocolError as exc:
            await super().complain(exc)
        except Exception:
            log.exception("a task of a connection failed", extra={"validator": self._hotkey})


def _job_of_first_message(message: ToMiner) -> str:
    """The job that the first message resumes; empty if it starts a job, or is about none."""
    match message:
        case JobPayload() | CancelOrdered():
            return message.job_uuid
        case AcceptedReceiptIssued():
            return message.payload.job_uuid
        case _:
            return ""
