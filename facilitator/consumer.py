"""The facilitator's end of a validator's websocket."""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from compute_horde import signing
from compute_horde.django.consumer import MessageConsumer
from compute_horde.django.database import in_database
from compute_horde.django.wary import trust
from compute_horde.errors import BadSignature, ProtocolError
from compute_horde.lifecycle import FINAL
from compute_horde.protocol import extensions
from compute_horde.protocol.capacity import SpecsReported
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.handshake import FacilitatorLogin, Heartbeat, Response
from compute_horde.protocol.links import VALIDATOR_TO_FACILITATOR
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import Extension
from facilitator import actions, reports, switchboard
from facilitator.logs import Source
from facilitator.news import desk
from facilitator.switchboard import switchboard as board

log = logging.getLogger(__name__)

LOGIN_SECONDS = 30
MAX_UNANSWERED = 1000
BAD_SIGNATURE, NOT_A_VALIDATOR, OUR_FAULT = 3000, 3001, 1011

Answer = asyncio.Future[Response]


class ValidatorConsumer(MessageConsumer):
    """One connection: a login, then statuses, each answered in the order they came."""

    incoming = VALIDATOR_TO_FACILITATOR

    hotkey = ""
    last_heard = 0.0
    extensions: frozenset[Extension] = frozenset()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.name = board.new_name()
        self._answers: asyncio.Queue[Answer] = asyncio.Queue(MAX_UNANSWERED)
        self._unanswered: set[Answer] = set()
        self._tasks = [asyncio.create_task(self._answer_in_order())]
        try:
            await super().__call__(scope, receive, send)
        finally:
            # However it ended: a connection that only seems alive would swallow jobs.
            await self._gone()

    async def _gone(self) -> None:
        if self.hotkey:
            board.leave(self)
            log.info("validator gone", extra={"validator": self.hotkey, "connection": self.name})
            # What it said last may be that it took jobs.
            if self._unanswered:
                await asyncio.wait(self._unanswered)
            board.forget(self)
        for task in self._tasks:
            task.cancel()
        if self.hotkey:
            await switchboard.adopt(self.hotkey)

    async def connect(self) -> None:
        self._waiting_for_login = asyncio.create_task(self._time_to_log_in())
        self._tasks.append(self._waiting_for_login)
        await self.accept()

    async def _time_to_log_in(self) -> None:
        await asyncio.sleep(LOGIN_SECONDS)
        await self.close(NOT_A_VALIDATOR)

    async def handle(self, message: Any) -> None:
        self.last_heard = time.monotonic()
        if isinstance(message, FacilitatorLogin):
            await self._login(message)
        elif not self.hotkey:
            await self._refuse(
                "auth.not_authenticated",
                "Not authenticated",
                help="Please send authentication request first",
            )
        else:
            await self._hear(message)

    async def _hear(
        self,
        message: Heartbeat | StatusReported | SpecsReported | OutputPrinted | ProgressMade,
    ) -> None:
        match message:
            case StatusReported():
                # What is not stored comes again, on another connection, and its job's end with it.
                if message.status not in FINAL or await self._source.has_stored(message.uuid):
                    await self._owe(reports.hear(self.hotkey, message))
            case OutputPrinted():
                await self._owe(await self._source.hear(message))
            case ProgressMade():
                desk.made(self.hotkey, message)
            case SpecsReported():
                if message.validator_hotkey != self.hotkey:
                    raise ProtocolError("a validator may report only for itself")
                log.info(
                    "machine specs",
                    extra={"validator": self.hotkey, "miner": message.miner_hotkey},
                )

    async def _login(self, login: FacilitatorLogin) -> None:
        if self.hotkey:
            await self._refuse("auth.already_authenticated", "Already authenticated")
            return
        try:
            key = login.key()
            hotkey = signing.address(key)
        except BadSignature as exc:
            await self._refuse("auth.validator_not_found", str(exc), close=NOT_A_VALIDATOR)
            return
        if not await in_database(actions.may_connect, hotkey):
            text = f"Validator {hotkey} is not an active validator here"
            await self._refuse("auth.validator_not_found", text, close=NOT_A_VALIDATOR)
            return
        try:
            signing.verify_hex(hotkey, key, login.signature)
        except BadSignature as exc:
            await self._refuse("auth.signature_invalid", str(exc), close=BAD_SIGNATURE)
            return
        await in_database(actions.note_login, hotkey, self._version())
        await self._join(hotkey)

    async def _join(self, hotkey: str) -> None:
        self._waiting_for_login.cancel()
        self.hotkey, self.last_heard = hotkey, time.monotonic()
        self._source = Source(hotkey)
        trust(self.scope)
        # Clients read the first frame as the answer to their login: say it before any job.
        announced = self._header(extensions.HEADER)
        self.extensions = extensions.in_header(announced)
        await self.say(
            reports.SUCCESS.model_copy(update={"extensions": extensions.in_kind(announced)})
        )
        board.join(self)
        log.info("validator connected", extra={"validator": hotkey, "connection": self.name})
        await switchboard.adopt(hotkey)

    async def speak(self, frame: str) -> None:
        """Send a stored frame."""
        with suppress(RuntimeError, OSError):
            await self.send(text_data=frame)

    async def hang_up(self, code: int) -> None:
        """End the connection; nothing more goes out on it."""
        if self.hotkey:
            board.leave(self)
        await self.close(code)

    async def complain(self, problem: ProtocolError) -> None:
        log.info("bad message", extra={"problem": str(problem), "validator": self.hotkey})
        await self._refuse("malformed", str(problem))

    async def _refuse(self, kind: str, text: str, *, help: str = "", close: int = 0) -> None:
        answer: Answer = asyncio.get_running_loop().create_future()
        answer.set_result(Response.refusal(kind, text, help=help))
        await self._owe(answer)
        if close:
            await self._answers.join()
            await self.close(close)

    async def _owe(self, answer: Answer) -> None:
        """Answers go out in the order of their questions, since they carry no number."""
        self._unanswered.add(answer)
        answer.add_done_callback(self._unanswered.discard)
        await self._answers.put(answer)

    async def _answer_in_order(self) -> None:
        is_broken = False
        while True:
            answer = await self._answers.get()
            await asyncio.wait([answer])
            if not answer.cancelled() and not is_broken:
                await self.say(answer.result())
            elif not is_broken:
                # Not stored: the validator will report it again on its next connection.
                is_broken = True
                await self.hang_up(OUR_FAULT)
            self._answers.task_done()

    def _version(self) -> str:
        return self._header("X-Validator-Version", "unknown")[:64]

    def _header(self, name: str, missing: str = "") -> str:
        found = dict(self.scope["headers"]).get(name.lower().encode())
        return missing if found is None else found.decode("latin-1")
