"""The websocket to the facilitator: login, received jobs, sent statuses and output."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from urllib.parse import urlsplit

from compute_horde.adapters.websocket import ConnectionLostError, MessageSocket, open_socket
from compute_horde.concurrency.backoff import Backoff
from compute_horde.concurrency.task_set import TaskSet
from compute_horde.django.database import in_database
from compute_horde.errors import ProtocolError
from compute_horde.protocol import extensions
from compute_horde.protocol.extensions import CancelRequested
from compute_horde.protocol.handshake import (
    CHALLENGE_HEADER,
    FacilitatorLogin,
    Heartbeat,
    Response,
)
from compute_horde.protocol.job import CheatReported, JobRequested
from compute_horde.protocol.links import FACILITATOR_TO_VALIDATOR, FromFacilitator
from compute_horde.protocol.status import StatusReported
from compute_horde.signing import Signer
from compute_horde.vocabulary import Extension
from validator.facilitator import status_reports
from validator.facilitator.outbox import Outbox, Status
from validator.jobs import actions

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 60.0
FIRST_RETRY_SECONDS = 0.2
MAX_RETRY_SECONDS = 5.0
LOGIN_SECONDS = 15.0
HEADERS = {
    "X-Validator-Version": "0.1.0",
    "X-Validator-Runner-Version": "unknown",
    extensions.HEADER: ",".join(Extension),
}


class ChallengeMemory:
    """Remembers whether a login by challenge ever succeeded; in memory."""

    def __init__(self) -> None:
        self._known = False

    async def is_known(self) -> bool:
        """Whether the facilitator is known to offer challenges."""
        return self._known

    async def record(self) -> None:
        """Remember that the facilitator offers challenges."""
        self._known = True


class StoredChallengeMemory(ChallengeMemory):
    """The same in the database: it survives restarts, and an operator may delete it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    async def is_known(self) -> bool:
        return await in_database(actions.has_offered_challenge, self._url)

    async def record(self) -> None:
        await in_database(actions.record_challenge, self._url)


class FacilitatorConnection:
    """Keeps this validator logged in at the facilitator.

    `on_message` gets every request of the facilitator, `on_acknowledged` every status it
    acknowledged. The messages to send come from `outbox`.
    """

    def __init__(
        self,
        url: str,
        validator: Signer,
        outbox: Outbox,
        *,
        on_message: Callable[[JobRequested | CheatReported | CancelRequested], None],
        on_acknowledged: Callable[[Status], None],
        memory: ChallengeMemory | None = None,
    ) -> None:
        # The protocol extensions of the facilitator while this validator is logged in.
        self.extensions: frozenset[Extension] = frozenset()
        self._url = url
        self._validator = validator
        self._outbox = outbox
        self._on_message = on_message
        self._on_acknowledged = on_acknowledged
        self._memory = memory or ChallengeMemory()
        self._backoff = Backoff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)

    async def run(self) -> None:
        """Connect again and again, with growing pauses while it fails; never returns."""
        while True:
            try:
                await self._run_session()
            except ConnectionLostError as exc:
                log.warning(
                    "facilitator connection lost",
                    extra={"problem": str(exc), "wait": self._backoff.seconds},
                )
            self.extensions = frozenset()
            await asyncio.sleep(self._backoff.take())

    async def _run_session(self) -> None:
        async with open_socket(self._url, FACILITATOR_TO_VALIDATOR, headers=HEADERS) as line:
            await self._log_in(line)
            log.info("logged in at facilitator", extra={"unacknowledged": len(self._outbox)})
            self._outbox.reopen(output=Extension.OUTPUT in self.extensions)
            # A lost connection is raised by `listen`, whichever task notices it first.
            async with TaskSet() as tasks:
                tasks.spawn(_close_on_error(line, self._send_heartbeats(line)))
                tasks.spawn(_close_on_error(line, self._send_reports(line)))
                async for message in line.listen():
                    self._handle(message)

    async def _log_in(self, line: MessageSocket[FromFacilitator]) -> None:
        login = await self._login(line.answer_header(CHALLENGE_HEADER))
        await line.send(login)
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                answer = await line.receive()
        except (TimeoutError, ProtocolError) as exc:
            raise ConnectionLostError(f"no answer to the login: {exc or 'too late'}") from exc
        if not isinstance(answer, Response) or answer.status != "success":
            raise ConnectionLostError(f"the facilitator refused the login: {answer.encode()[:500]}")
        if login.challenge:
            await self._memory.record()
        self.extensions = extensions.announced(answer.extensions)

    async def _login(self, nonce: str | None) -> FacilitatorLogin:
        """The answer to the challenge `nonce`, or the published login when there is none.

        Raises:
            ConnectionLostError: the facilitator offers no challenge although it did so before.
        """
        if nonce:
            host = urlsplit(self._url).hostname or ""
            return FacilitatorLogin.answering(
                self._validator, nonce[:128], audience=host, timestamp=int(time.time())
            )
        if await self._memory.is_known():
            raise ConnectionLostError(
                f"{self._url} offers no login challenge although it did before; the published "
                "login is not sent, since whoever gets it can log in as this validator for ever. "
                "If the facilitator went back to older software, delete it from the known "
                "facilitators in the admin"
            )
        return FacilitatorLogin.signed(self._validator)

    def _handle(self, message: FromFacilitator) -> None:
        self._backoff.reset()
        if not isinstance(message, Response):
            self._on_message(message)
            return
        report = self._outbox.on_answer()
        if message.status == "error":
            log.warning(
                "facilitator refused a message",
                extra={"report": f"{report.uuid} {report.status}"
                       if isinstance(report, Status) else type(report).__name__,
                       "errors": [problem.type for problem in message.errors]},
            )  # fmt: skip
        if isinstance(report, Status):
            self._on_acknowledged(report)

    async def _send_reports(self, line: MessageSocket[FromFacilitator]) -> None:
        while True:
            report = await self._outbox.next()
            if isinstance(report, StatusReported):
                report = status_reports.compatible(report, self.extensions)
            await line.send(report)

    async def _send_heartbeats(self, line: MessageSocket[FromFacilitator]) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await line.send(Heartbeat())
            # Heartbeats are not answered; a connection that lasts counts as a working one.
            self._backoff.reset()


async def _close_on_error(
    line: MessageSocket[FromFacilitator], work: Coroutine[None, None, None]
) -> None:
    """Close the connection when `work` fails, so that `run` connects again."""
    try:
        await work
    except ConnectionLostError:
        return
    except Exception:
        log.exception("sending to the facilitator failed")
        await line.close()
