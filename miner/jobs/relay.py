"""Who hears what is said of a job: the open sockets of its validator."""

from typing import Protocol

from compute_horde.protocol.extensions import understood
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.vocabulary import Extension


class Ear(Protocol):
    """A validator's open socket, authenticated; `extensions` are what it announced."""

    extensions: frozenset[Extension]

    def tell(self, text: str, job_uuid: str) -> None: ...

    async def say(self, message: Message) -> None: ...


class Relay:
    """Every validator's sockets, oldest first."""

    def __init__(self) -> None:
        self._ears: dict[str, list[Ear]] = {}

    def join(self, validator: str, ear: Ear) -> None:
        """From now on this socket is told about jobs of `validator`."""
        self._ears.setdefault(validator, []).append(ear)

    def leave(self, validator: str, ear: Ear) -> None:
        """The socket closed."""
        ears = self._ears.get(validator, [])
        if ear in ears:
            ears.remove(ear)
        if not ears:
            self._ears.pop(validator, None)

    def tell(self, validator: str, spoken_on: Ear | None, message: JobMessage) -> None:
        """Tell the socket on which the validator last spoke of the job, and all opened since.

        The first may be dead without our knowing, and a validator may open one socket per job;
        hearing a fact twice is harmless. When the first is closed, all of them are told. What not
        everybody understands goes only to those who announced that they do.
        """
        ears = self._ears.get(validator, [])
        since = ears.index(spoken_on) if spoken_on in ears else 0
        text = message.encode()
        for ear in ears[since:]:
            if understood(message, ear.extensions):
                ear.tell(text, message.job_uuid)
