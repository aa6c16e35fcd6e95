"""The line to the facilitator: jobs come in, statuses go out."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from compute_horde.adapters.websocket import Line, LineLost, line_to
from compute_horde.errors import ProtocolError
from compute_horde.protocol import extensions
from compute_horde.protocol.extensions import CancelRequested
from compute_horde.protocol.handshake import FacilitatorLogin, Heartbeat, Response
from compute_horde.protocol.job import CheatReported, JobRequested
from compute_horde.protocol.links import FACILITATOR_TO_VALIDATOR, FromFacilitator
from compute_horde.protocol.status import StatusReported
from compute_horde.signing import Signer
from compute_horde.vocabulary import Extension
from validator.jobs import reports
from validator.jobs.outbox import Outbox

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 60.0
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 5.0
LOGIN_SECONDS = 15.0
HEADERS = {
    "X-Validator-Version": "0.1.0",
    "X-Validator-Runner-Version": "unknown",
    extensions.HEADER: ",".join(Extension),
}


class FacilitatorLine:
    """Keeps us logged in at the facilitator."""

    def __init__(
        self,
        url: str,
        validator: Signer,
        outbox: Outbox,
        *,
        heard: Callable[[JobRequested | CheatReported | CancelRequested], None],
        acknowledged: Callable[[StatusReported], None],
    ) -> None:
        # What the facilitator understands beyond the published protocol, while we are logged in.
        self.extensions: frozenset[Extension] = frozenset()
        self._url = url
        self._validator = validator
        self._outbox = outbox
        self._heard = heard
        self._acknowledged = acknowledged
        self._wait = FIRST_WAIT_SECONDS

    async def run(self) -> None:
        """Connect for ever."""
        while True:
            try:
                await self._converse()
            except LineLost as exc:
                log.warning("facilitator lost", extra={"problem": str(exc), "wait": self._wait})
            self.extensions = frozenset()
            await asyncio.sleep(self._wait)
            self._wait = min(self._wait * 2, LONGEST_WAIT_SECONDS)

    async def _converse(self) -> None:
        async with line_to(self._url, FACILITATOR_TO_VALIDATOR, headers=HEADERS) as line:
            await self._log_in(line)
            log.info("facilitator line open", extra={"unacknowledged": len(self._outbox)})
            self._outbox.reopen(output=Extension.OUTPUT in self.extensions)
            async with _beside(line, self._heartbeat(line)), _beside(line, self._speak(line)):
                async for message in line.listen():
                    self._hear(message)

    async def _log_in(self, line: Line[FromFacilitator]) -> None:
        await line.say(FacilitatorLogin.signed(self._validator))
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                answer = await line.hear()
        except (TimeoutError, ProtocolError) as exc:
            raise LineLost(f"no answer to our login: {exc or 'too late'}") from exc
        if not isinstance(answer, Response) or answer.status != "success":
            raise LineLost(f"the facilitator refused our login: {answer.encode()[:500]}")
        self.extensions = extensions.announced(answer.extensions)

    def _hear(self, message: FromFacilitator) -> None:
        self._wait = FIRST_WAIT_SECONDS
        if not isinstance(message, Response):
            self._heard(message)
            return
        report = self._outbox.answered()
        if message.status == "error":
            log.warning(
                "facilitator refused a report",
                extra={"report": f"{report.uuid} {report.status}"
                       if isinstance(report, StatusReported) else type(report).__name__,
                       "errors": [problem.type for problem in message.errors]},
            )  # fmt: skip
        if isinstance(report, StatusReported):
            self._acknowledged(report)

    async def _speak(self, line: Line[FromFacilitator]) -> None:
        while True:
            report = await self._outbox.next()
            if isinstance(report, StatusReported):
                report = reports.understandable(report, self.extensions)
            await line.say(report)

    async def _heartbeat(self, line: Line[FromFacilitator]) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await line.say(Heartbeat())
            # Heartbeats are not answered; a line that lasts is as good as one that answers.
            self._wait = FIRST_WAIT_SECONDS


@asynccontextmanager
async def _beside(
    line: Line[FromFacilitator], work: Coroutine[None, None, None]
) -> AsyncIterator[None]:
    """Do `work` while the block runs; that the line is lost is the block's news to tell."""
    task = asyncio.ensure_future(_or_close(line, work))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _or_close(line: Line[FromFacilitator], work: Coroutine[None, None, None]) -> None:
    """A line on which we cannot speak is no line: lose it, and come again."""
    try:
        await work
    except LineLost:
        return
    except Exception:
        log.exception("cannot speak to the facilitator")
        await line.close()
