"""One authenticated websocket per miner, shared by all its jobs and opened again when lost."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from compute_horde.adapters.websocket import Line, LineLost, line_to
from compute_horde.errors import HordeError
from compute_horde.faults import Cause
from compute_horde.protocol import extensions
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.handshake import GenericError, Unauthorized, ValidatorAuth
from compute_horde.protocol.links import MINER_TO_VALIDATOR, FromMiner
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.signing import Signer
from compute_horde.vocabulary import Extension, HordeReason

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 30.0
LOGIN_SECONDS = 15.0
SAY_SECONDS = 10.0
# What an honest miner says of one job, all of it repeated a few times.
MOST_UNHEARD = 64

Inbox = asyncio.Queue[JobMessage | HordeError]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a miner listens."""

    hotkey: str
    host: str
    port: int

    def url(self, validator: str) -> str:
        """The validators' entrance."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}/v0.1/validator_interface/{validator}"


@dataclass(frozen=True, slots=True)
class Ears:
    """Who is told what a miner says outside of a job we are listening to."""

    manifest: Callable[[str, Manifest], None] = lambda hotkey, manifest: None
    presence: Callable[[str], None] = lambda hotkey: None
    stray: Callable[["MinerLine", JobMessage], None] = lambda line, message: None
    output: Callable[[str, OutputPrinted | ProgressMade], None] = lambda hotkey, said: None


class MinerLine:
    """The conversation with one miner; `run` keeps it open, jobs come and go."""

    def __init__(
        self, address: Address, validator: Signer, *, absence_seconds: float, ears: Ears
    ) -> None:
        self.address = address
        # What the miner understands beyond the published protocol, while it is connected.
        self.extensions: frozenset[Extension] = frozenset()
        # How often it came; tells one connection from the next.
        self.arrivals = 0
        self._validator = validator
        self._absence_seconds = absence_seconds
        self._ears = ears
        self._inboxes: dict[str, Inbox] = {}
        self._line: Line[FromMiner] | None = None
        self._present = asyncio.Event()
        self._hurry = asyncio.Event()
        self._absent_since = time.monotonic()
        self._giving_up: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        """Whether the miner knows us and listens."""
        return self._line is not None

    @property
    def in_use(self) -> bool:
        """Whether somebody listens for a job."""
        return bool(self._inboxes)

    async def wait(self, seconds: float) -> bool:
        """Whether the line is, or within `seconds` becomes, connected."""
        try:
            async with asyncio.timeout(seconds):
                await self._present.wait()
        except TimeoutError:
            return False
        return True

    def hurry(self) -> None:
        """Somebody waits for this miner: try again now."""
        self._hurry.set()

    async def say(self, message: Message) -> None:
        """Send one message now; `LineLost` when the miner is not there or does not take it."""
        if self._line is None:
            raise LineLost(f"miner {self.address.hotkey} is not connected")
        await self._line.say(message, seconds=SAY_SECONDS)

    @contextmanager
    def inbox(self, job_uuid: str) -> Iterator[Callable[[], Awaitable[JobMessage]]]:
        """What the miner says of one job, from now on; raises when the miner is given up."""
        queue: Inbox = asyncio.Queue()
        self._inboxes[job_uuid] = queue
        if not self.connected:
            self._watch_absence()

        async def listen() -> JobMessage:
            heard = await queue.get()
            if isinstance(heard, HordeError):
                raise heard
            return heard

        try:
            yield listen
        finally:
            del self._inboxes[job_uuid]

    async def run(self) -> None:
        """Connect for ever, with longer and longer pauses while it fails."""
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                await self._converse()
            except LineLost as exc:
                wait = FIRST_WAIT_SECONDS if self.connected else wait
                log.info(
                    "miner line lost",
                    extra={"miner": self.address.hotkey, "problem": str(exc), "wait": wait},
                )
            finally:
                self._absent()
            await self._pause(wait * random.uniform(0.8, 1.2))
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    async def _pause(self, seconds: float) -> None:
        self._hurry.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return
        # However many jobs hurry us, a refusing miner is not stormed.
        await asyncio.sleep(min(seconds, FIRST_WAIT_SECONDS))

    async def _converse(self) -> None:
        validator, miner = self._validator, self.address.hotkey
        async with line_to(self.address.url(validator.ss58_address), MINER_TO_VALIDATOR) as line:
            now, ours = int(time.time()), tuple(Extension)
            await line.say(ValidatorAuth.signed(validator, miner, now, ours))
            refused = asyncio.get_running_loop().call_later(
                LOGIN_SECONDS, lambda: asyncio.ensure_future(line.close())
            )
            try:
                async for message in line.listen():
                    # The manifest is how a miner says that it knows us.
                    if isinstance(message, Manifest):
                        refused.cancel()
                        self.extensions = extensions.announced(message.extensions)
                        self._arrived(line)
                    self._hear(message)
            finally:
                refused.cancel()

    def _hear(self, message: FromMiner) -> None:
        match message:
            case Manifest():
                self._ears.manifest(self.address.hotkey, message)
            case GenericError() | Unauthorized():
                log.warning(
                    "miner complains",
                    extra={"miner": self.address.hotkey, "details": message.details},
                )
            case OutputPrinted() | ProgressMade():
                self._ears.output(self.address.hotkey, message)
            case JobMessage() if inbox := self._inboxes.get(message.job_uuid):
                _put(inbox, message)
            case JobMessage():
                self._ears.stray(self, message)

    def _arrived(self, line: Line[FromMiner]) -> None:
        if self._line is not line:
            self.arrivals += 1
        self._line = line
        self._present.set()
        if self._giving_up:
            self._giving_up.cancel()
            self._giving_up = None
        self._ears.presence(self.address.hotkey)

    def _absent(self) -> None:
        was_here, self._line = self.connected, None
        self.extensions = frozenset()
        if was_here:
            self._present.clear()
            self._absent_since = time.monotonic()
            self._ears.presence(self.address.hotkey)
        if self._inboxes:
            self._watch_absence()

    def _watch_absence(self) -> None:
        if self._giving_up is None:
            loop = asyncio.get_running_loop()
            self._giving_up = loop.call_later(self._absence_seconds, self._give_up)

    def _give_up(self) -> None:
        self._giving_up = None
        gone = round(time.monotonic() - self._absent_since)
        for inbox in self._inboxes.values():
            inbox.put_nowait(
                HordeError(
                    HordeReason.MINER_CONNECTION_FAILED,
                    f"The miner {self.address.hotkey} was lost and did not come back in {gone} s",
                )
            )


def _put(inbox: Inbox, message: JobMessage) -> None:
    """A miner that says more than can be heard fills no memory: its job ends there."""
    if inbox.qsize() < MOST_UNHEARD:
        inbox.put_nowait(message)
    elif inbox.qsize() == MOST_UNHEARD:
        text = f"The miner said more than {MOST_UNHEARD} things of the job at once"
        wrong = HordeError(HordeReason.GENERIC_ERROR, text, context=Cause.BROKEN_ORDER.context)
        inbox.put_nowait(wrong)
