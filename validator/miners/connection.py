"""The authenticated websocket to one miner, shared by its jobs and reopened when it is lost."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from compute_horde.adapters.websocket import ConnectionLostError, MessageSocket, open_socket
from compute_horde.concurrency.backoff import Backoff
from compute_horde.errors import HordeError
from compute_horde.protocol import extensions
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.handshake import GenericError, Unauthorized, ValidatorAuth
from compute_horde.protocol.links import MINER_TO_VALIDATOR, FromMiner
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.signing import Signer
from compute_horde.vocabulary import Extension, HordeReason
from validator.miners import inboxes
from validator.miners.inboxes import Inbox

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.2
MAX_RETRY_SECONDS = 30.0
LOGIN_SECONDS = 15.0
SEND_SECONDS = 10.0
# At most so many characters of a miner's error message are logged.
SHOWN_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Address:
    """Where a miner listens."""

    hotkey: str
    host: str
    port: int

    def url(self, validator: str) -> str:
        """The websocket URL for this validator."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}/v0.1/validator_interface/{validator}"


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Callbacks of one miner connection.

    `on_presence` is called with the hotkey when the miner connects or disconnects, `on_unmatched`
    with each message, and its size in bytes, about a job that has no inbox.
    """

    on_manifest: Callable[[str, Manifest], None] = lambda hotkey, manifest: None
    on_presence: Callable[[str], None] = lambda hotkey: None
    on_unmatched: Callable[["MinerConnection", JobMessage, int], None] = (
        lambda connection, message, size: None
    )
    on_output: Callable[[str, OutputPrinted | ProgressMade], None] = lambda hotkey, message: None


class MinerConnection:
    """The connection to one miner; `run` keeps it open, and each job has an inbox.

    `absence_seconds` is how long the miner may be disconnected before its jobs fail.
    """

    def __init__(
        self, address: Address, validator: Signer, *, absence_seconds: float, callbacks: Callbacks
    ) -> None:
        self.address = address
        # The protocol extensions of the miner while it is connected.
        self.extensions: frozenset[Extension] = frozenset()
        # Identifies the present connection: it grows each time the miner connects.
        self.connection_count = 0
        self._validator = validator
        self._absence_seconds = absence_seconds
        self._callbacks = callbacks
        self._inboxes: dict[str, Inbox] = {}
        self._unread = inboxes.process_budget.part(inboxes.CONNECTION_BYTES)
        self._line: MessageSocket[FromMiner] | None = None
        self._connected_event = asyncio.Event()
        self._reconnect_now = asyncio.Event()
        self._absent_since = time.monotonic()
        self._absence_timer: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        """Whether the miner is connected and has accepted the login."""
        return self._line is not None

    @property
    def in_use(self) -> bool:
        """Whether any job has an inbox here."""
        return bool(self._inboxes)

    @property
    def is_published(self) -> bool:
        """Whether the miner is connected and speaks the published protocol only."""
        return self.connected and not self.extensions

    def has_inbox(self, job_uuid: str) -> bool:
        """Whether this job has an inbox here."""
        return job_uuid in self._inboxes

    async def wait(self, seconds: float) -> bool:
        """Wait until the miner is connected; False when it is not within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._connected_event.wait()
        except TimeoutError:
            return False
        return True

    def reconnect_now(self) -> None:
        """End the pause before the next attempt to connect."""
        self._reconnect_now.set()

    async def send(self, message: Message) -> None:
        """Send one message now.

        Raises:
            ConnectionLostError: the miner is not connected, or did not take it within
                `SEND_SECONDS`.
        """
        if self._line is None:
            raise ConnectionLostError(f"miner {self.address.hotkey} is not connected")
        await self._line.send(message, seconds=SEND_SECONDS)

    @contextmanager
    def inbox(self, job_uuid: str) -> Iterator[Callable[[], Awaitable[JobMessage]]]:
        """Collect the messages about one job while the block runs; yields a function to receive.

        That function raises `HordeError` when the miner stays disconnected for too long or its
        messages exceed a bound.
        """
        inbox = self._inboxes[job_uuid] = Inbox(self._unread)
        if not self.connected:
            self._start_absence_timer()
        try:
            yield inbox.next
        finally:
            del self._inboxes[job_uuid]
            inbox.close()

    async def run(self) -> None:
        """Connect again and again, with growing pauses while it fails; never returns."""
        backoff = Backoff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)
        while True:
            try:
                await self._run_session()
            except ConnectionLostError as exc:
                if self.connected:
                    backoff.reset()
                log.info(
                    "miner connection lost",
                    extra={
                        "miner": self.address.hotkey,
                        "problem": str(exc),
                        "wait": backoff.seconds,
                    },
                )
            finally:
                self._on_disconnected()
            await self._pause(backoff.take() * random.uniform(0.8, 1.2))

    async def _pause(self, seconds: float) -> None:
        self._reconnect_now.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._reconnect_now.wait()
        except TimeoutError:
            return
        # However often `reconnect_now` is called, a miner that refuses is not flooded.
        await asyncio.sleep(min(seconds, FIRST_RETRY_SECONDS))

    async def _run_session(self) -> None:
        validator, miner = self._validator, self.address.hotkey
        async with open_socket(
            self.address.url(validator.ss58_address), MINER_TO_VALIDATOR
        ) as line:
            now, supported = int(time.time()), tuple(Extension)
            await line.send(ValidatorAuth.signed(validator, miner, now, supported))
            login_timer = asyncio.get_running_loop().call_later(
                LOGIN_SECONDS, lambda: asyncio.ensure_future(line.close())
            )
            try:
                async for message in line.listen():
                    # A miner accepts the login by sending its manifest.
                    if isinstance(message, Manifest):
                        login_timer.cancel()
                        self.extensions = extensions.announced(message.extensions)
                        self._on_connected(line)
                    self._handle(message, line.frame_bytes)
            finally:
                login_timer.cancel()

    def _handle(self, message: FromMiner, size: int) -> None:
        match message:
            case Manifest():
                self._callbacks.on_manifest(self.address.hotkey, message)
            case GenericError() | Unauthorized():
                log.warning(
                    "error reported by miner",
                    extra={"miner": self.address.hotkey, "details": _shortened(message.details)},
                )
            case OutputPrinted() | ProgressMade():
                self._callbacks.on_output(self.address.hotkey, message)
            case JobMessage() if message.job_uuid in self._inboxes:
                self.deliver(message, size)
            case JobMessage():
                self._callbacks.on_unmatched(self, message, size)

    def deliver(self, message: JobMessage, size: int) -> None:
        """Put a message whose frame had `size` bytes into the inbox of its job."""
        self._inboxes[message.job_uuid].put(message, size)

    def _on_connected(self, line: MessageSocket[FromMiner]) -> None:
        if self._line is not line:
            self.connection_count += 1
        self._line = line
        self._connected_event.set()
        if self._absence_timer:
            self._absence_timer.cancel()
            self._absence_timer = None
        self._callbacks.on_presence(self.address.hotkey)

    def _on_disconnected(self) -> None:
        was_connected, self._line = self.connected, None
        self.extensions = frozenset()
        if was_connected:
            self._connected_event.clear()
            self._absent_since = time.monotonic()
            self._callbacks.on_presence(self.address.hotkey)
        if self._inboxes:
            self._start_absence_timer()

    def _start_absence_timer(self) -> None:
        if self._absence_timer is None:
            loop = asyncio.get_running_loop()
            self._absence_timer = loop.call_later(self._absence_seconds, self._end_jobs)

    def _end_jobs(self) -> None:
        self._absence_timer = None
        gone = round(time.monotonic() - self._absent_since)
        text = f"The miner {self.address.hotkey} was lost and did not come back in {gone} s"
        lost = HordeError(HordeReason.MINER_CONNECTION_FAILED, text)
        inboxes.end_all(self._inboxes.values(), lost)


def _shortened(details: str | None) -> str:
    return (details or "")[:SHOWN_CHARACTERS]
