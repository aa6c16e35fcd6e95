"""The websocket consumer for validators: login, then status and output reports."""

import asyncio
import logging
import secrets
import time
from contextlib import suppress
from typing import Any

from compute_horde import signing
from compute_horde.concurrency.byte_budget import ByteGate, memory_of
from compute_horde.concurrency.task_set import TaskSet
from compute_horde.django import guarded_websocket
from compute_horde.django.consumer import MessageConsumer
from compute_horde.django.database import in_database
from compute_horde.errors import BadSignature, ProtocolError
from compute_horde.lifecycle import FINAL
from compute_horde.protocol import extensions
from compute_horde.protocol.capacity import SpecsReported
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.handshake import (
    CHALLENGE_HEADER,
    FacilitatorLogin,
    Heartbeat,
    Response,
)
from compute_horde.protocol.links import VALIDATOR_TO_FACILITATOR
from compute_horde.protocol.message import REPORT_FRAME_BYTES
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import Extension
from facilitator import validator_login
from facilitator.jobs import status_reports, validator_connections
from facilitator.jobs.status_feed import feed_registry
from facilitator.jobs.validator_connections import connections
from facilitator.logs.ingest import ValidatorLogSource

log = logging.getLogger(__name__)

LOGIN_SECONDS = 30
PING_SECONDS = 3.0
MAX_UNANSWERED = 1000
# Limits on statuses not stored yet; the next frame is not read until there is room again.
CONNECTION_BYTES = 2 * REPORT_FRAME_BYTES
TOTAL_BYTES = 16 * REPORT_FRAME_BYTES
# Websocket close codes.
BAD_SIGNATURE, NOT_A_VALIDATOR, INTERNAL_ERROR = 3000, 3001, 1011

Answer = asyncio.Future[Response]


# Of all connections together.
total_unstored = ByteGate(TOTAL_BYTES)


class ValidatorConsumer(MessageConsumer):
    """One connection of a validator. Responses are sent in the order of the messages.

    Implements `facilitator.jobs.validator_connections.Connection`.
    """

    incoming = VALIDATOR_TO_FACILITATOR

    hotkey = ""
    last_received = 0.0
    address = ""
    is_proven = False
    extensions: frozenset[Extension] = frozenset()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.name = connections.new_name()
        self._answers: asyncio.Queue[Answer] = asyncio.Queue(MAX_UNANSWERED)
        self._unanswered: set[Answer] = set()
        self._unstored = ByteGate(CONNECTION_BYTES, total_unstored)
        self._tasks = TaskSet()
        self._tasks.spawn(self._answer_in_order())
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Also after an error: jobs sent on a dead connection would be lost.
            await self._on_disconnect()

    async def _on_disconnect(self) -> None:
        if self.hotkey:
            connections.remove(self)
            log.info(
                "validator disconnected", extra={"validator": self.hotkey, "connection": self.name}
            )
            # The last messages may report jobs as received: wait until they are stored.
            if self._unanswered:
                await asyncio.wait(self._unanswered)
            connections.forget(self)
        await self._tasks.cancel()
        if self.hotkey:
            await validator_connections.deliver_pending(self.hotkey)

    async def connect(self) -> None:
        self._login_timeout = self._tasks.spawn(self._close_without_login())
        self.address = (self.scope.get("client") or ("",))[0]
        self._nonce = secrets.token_hex(32)
        challenge = (CHALLENGE_HEADER.lower().encode(), self._nonce.encode())
        # ASGI's headers are bytes; the stub says text.
        await self.accept(headers=[challenge])  # type: ignore[list-item]

    async def _close_without_login(self) -> None:
        await asyncio.sleep(LOGIN_SECONDS)
        await self.close(NOT_A_VALIDATOR)

    async def handle(self, message: Any) -> None:
        self.last_received = time.monotonic()
        if isinstance(message, FacilitatorLogin):
            await self._login(message)
        elif not self.hotkey:
            await self._refuse(
                "auth.not_authenticated",
                "Not authenticated",
                help="Please send authentication request first",
            )
        else:
            await self._handle_report(message)

    async def _handle_report(
        self,
        message: Heartbeat | StatusReported | SpecsReported | OutputPrinted | ProgressMade,
    ) -> None:
        match message:
            case StatusReported():
                # If its output is not stored, the validator repeats both on a new connection.
                if message.status not in FINAL or await self._log_source.has_stored(message.uuid):
                    await self._queue_answer(await self._store(message))
            case OutputPrinted():
                await self._queue_answer(await self._log_source.enqueue(message))
            case ProgressMade():
                feed_registry.publish_progress(self.hotkey, message)
            case SpecsReported():
                if message.validator_hotkey != self.hotkey:
                    raise ProtocolError("a validator may report only for itself")
                log.info(
                    "machine specs",
                    extra={"validator": self.hotkey, "miner": message.miner_hotkey},
                )

    async def _store(self, status: StatusReported) -> Answer:
        """Queue a status to be stored; waits while queued statuses take too much memory."""
        size = memory_of(status)
        await self._unstored.enter(size)
        answer = status_reports.enqueue(self.hotkey, status)
        answer.add_done_callback(lambda _: self._unstored.leave(size))
        return answer

    async def _login(self, login: FacilitatorLogin) -> None:
        if self.hotkey:
            await self._refuse("auth.already_authenticated", "Already authenticated")
            return
        try:
            hotkey = signing.address(login.key())
        except BadSignature as exc:
            await self._refuse("auth.validator_not_found", str(exc), close=NOT_A_VALIDATOR)
            return
        validator = await in_database(validator_login.active_validator, hotkey)
        if validator is None:
            text = f"Validator {hotkey} is not an active validator here"
            await self._refuse("auth.validator_not_found", text, close=NOT_A_VALIDATOR)
            return
        try:
            challenge_required = validator.challenged_since is not None
            validator_login.check(login, nonce=self._nonce, challenge_required=challenge_required)
        except BadSignature as exc:
            await self._refuse("auth.signature_invalid", str(exc), close=BAD_SIGNATURE)
            return
        self.is_proven = login.challenge is not None
        if self.is_proven or not await self._refused_as_second(hotkey):
            await in_database(
                validator_login.record_login, hotkey, self._version(), by_challenge=self.is_proven
            )
            await self._join(hotkey)

    async def _refused_as_second(self, hotkey: str) -> bool:
        """Refuse a published login, which may be a replay, while another one is connected."""
        others = connections.active_unproven(hotkey)
        # The validator may be reconnecting after a silent connection loss: ping the others.
        while others and not await others[0].is_alive():
            others = connections.active_unproven(hotkey)
        if not others:
            return False
        if validator_login.conflict_alarms.is_due(hotkey, time.monotonic()):
            text = f"{self.address or 'somebody'} logged in as it while {others[0].address} was"
            await self._report_conflict(hotkey, f"{text} connected, and was refused")
        text = f"Validator {hotkey} is connected already, from {others[0].address or 'elsewhere'}"
        await self._refuse("auth.already_connected", text, close=NOT_A_VALIDATOR)
        return True

    async def _report_conflict(self, hotkey: str, text: str) -> None:
        log.error("two parties log in as one validator", extra={"validator": hotkey, "what": text})
        await in_database(validator_login.record_conflict, hotkey, text)

    async def _close_unproven(self, unproven: list[validator_connections.Connection]) -> None:
        """After a login: close older connections of this validator that answered no challenge."""
        in_use = connections.active_unproven(self.hotkey)
        for other in unproven:
            if other in in_use:
                text = f"{other.address or 'somebody'} was connected without proof when the"
                await self._report_conflict(
                    self.hotkey, f"{text} validator came from {self.address}, and was cut off"
                )
            await other.terminate(NOT_A_VALIDATOR)

    async def _join(self, hotkey: str) -> None:
        if not guarded_websocket.trust(self.scope, hotkey):
            text = f"Validator {hotkey} has too many connections open; close some"
            await self._refuse("auth.too_many_connections", text, close=NOT_A_VALIDATOR)
            return
        self._login_timeout.cancel()
        self.hotkey, self.last_received = hotkey, time.monotonic()
        self._log_source = ValidatorLogSource(hotkey)
        # Clients read the first frame as the response to their login: send it before any job.
        announced = self._header(extensions.HEADER)
        self.extensions = extensions.in_header(announced)
        await self.send_message(
            status_reports.SUCCESS.model_copy(update={"extensions": extensions.in_kind(announced)})
        )
        if not self.is_proven and connections.active_unproven(hotkey):
            # Another connection logged in while this one waited for the database.
            self.hotkey = ""
            await self.close(NOT_A_VALIDATOR)
            return
        others = connections.unproven(hotkey)
        connections.add(self)
        log.info("validator connected", extra={"validator": hotkey, "connection": self.name})
        await self._close_unproven(others)
        await validator_connections.deliver_pending(hotkey)

    async def send_frame(self, frame: str) -> None:
        """Send a stored frame."""
        with suppress(RuntimeError, OSError):
            await self.send(text_data=frame)

    async def is_alive(self) -> bool:
        """Whether the peer answers a ping within `PING_SECONDS`; if not, unregister it."""
        if await guarded_websocket.is_there(self.scope, PING_SECONDS):
            return True
        connections.remove(self)
        return False

    async def terminate(self, code: int) -> None:
        """Unregister and close the connection."""
        if self.hotkey:
            connections.remove(self)
        await self.close(code)

    async def complain(self, problem: ProtocolError) -> None:
        log.info("bad message", extra={"problem": str(problem), "validator": self.hotkey})
        await self._refuse("malformed", str(problem))

    async def _refuse(self, kind: str, text: str, *, help: str = "", close: int = 0) -> None:
        answer: Answer = asyncio.get_running_loop().create_future()
        answer.set_result(Response.refusal(kind, text, help=help))
        await self._queue_answer(answer)
        if close:
            await self._answers.join()
            with suppress(RuntimeError):  # Closed by now, by the peer or by us.
                await self.close(close)

    async def _queue_answer(self, answer: Answer) -> None:
        """Send a response when it is ready, in the order of the messages: responses carry no id."""
        self._unanswered.add(answer)
        answer.add_done_callback(self._unanswered.discard)
        await self._answers.put(answer)

    async def _answer_in_order(self) -> None:
        is_broken = False
        while True:
            answer = await self._answers.get()
            await asyncio.wait([answer])
            if not answer.cancelled() and not is_broken:
                await self.send_message(answer.result())
            elif not is_broken:
                # Not stored: closing makes the validator repeat it on its next connection.
                is_broken = True
                await self.terminate(INTERNAL_ERROR)
            self._answers.task_done()

    def _version(self) -> str:
        return self._header("X-Validator-Version", "unknown")[:64]

    def _header(self, name: str, missing: str = "") -> str:
        found = dict(self.scope["headers"]).get(name.lower().encode())
        return missing if found is None else found.decode("latin-1")
