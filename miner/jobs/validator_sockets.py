"""The open sockets of validators, and which of them get the messages about a job."""

from typing import NamedTuple, Protocol

from compute_horde.protocol.extensions import understood
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.vocabulary import Extension


class Parties(NamedTuple):
    """The two hotkeys of a job: the one of this miner that was addressed, and the validator's."""

    miner: str
    validator: str


class ValidatorSocket(Protocol):
    """An authenticated socket of a validator; `extensions` are those that it announced.

    `has_received` is whether any message arrived since the login: a published validator that
    reconnects sends none.
    """

    extensions: frozenset[Extension]

    @property
    def has_received(self) -> bool: ...

    def enqueue(self, text: str, job_uuid: str) -> None: ...

    async def send_message(self, message: Message) -> None: ...


class ValidatorSockets:
    """The sockets of each validator to each hotkey of this miner, oldest first."""

    def __init__(self) -> None:
        self._sockets: dict[Parties, list[ValidatorSocket]] = {}

    def add(self, parties: Parties, socket: ValidatorSocket) -> None:
        """Add a socket, which then gets the messages about jobs of `parties`."""
        self._sockets.setdefault(parties, []).append(socket)

    def remove(self, parties: Parties, socket: ValidatorSocket) -> None:
        """Remove a closed socket."""
        sockets = self._sockets.get(parties, [])
        if socket in sockets:
            sockets.remove(socket)
        if not sockets:
            self._sockets.pop(parties, None)

    def every(self) -> list[tuple[Parties, ValidatorSocket]]:
        """All sockets."""
        return [(parties, one) for parties, some in self._sockets.items() for one in some]

    def send(
        self, parties: Parties, job_socket: ValidatorSocket | None, message: JobMessage
    ) -> None:
        """Send a message to the socket used last for its job, and to all sockets opened later.

        The first may be broken without the miner noticing; repeated messages do no harm. If it is
        closed, all sockets get the message. A message of an extension goes only to sockets that
        announced the extension. A published validator uses one socket per job, so while the socket
        of the job is open, its other sockets that received a message are for other jobs.
        """
        sockets = self._sockets.get(parties, [])
        is_open = job_socket in sockets
        start = sockets.index(job_socket) if job_socket and is_open else 0
        text = message.encode()
        for socket in sockets[start:]:
            is_for_another = is_open and socket is not job_socket and _is_for_one_job(socket)
            if not is_for_another and understood(message, socket.extensions):
                socket.enqueue(text, message.job_uuid)


def _is_for_one_job(socket: ValidatorSocket) -> bool:
    return not socket.extensions and socket.has_received
