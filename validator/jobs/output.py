"""What jobs print and how far they are: passed on to the facilitator, of nobody else's job."""

from collections.abc import Callable, Mapping

from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from validator.jobs.outbox import Outbox

MAX_KNOWN = 4096


class Output:
    """Between the miners' lines and the outbox.

    A miner may speak only of the job it has, or of the last one it had: what it printed in the end
    may come once more after a lost connection.
    """

    def __init__(self, outbox: Outbox, miner_of: Callable[[str], str | None]) -> None:
        self._outbox = outbox
        self._miner_of = miner_of
        self._known: dict[str, str] = {}

    def remember(self, miners: Mapping[str, str]) -> None:
        """Jobs of an earlier process whose end the facilitator may not know, and who had them."""
        for uuid, miner in miners.items():
            self._know(uuid, miner)

    def hear(self, miner: str, said: OutputPrinted | ProgressMade) -> None:
        """What a miner says of a job while that runs."""
        has_it = self._miner_of(said.job_uuid)
        if has_it is not None:
            self._know(said.job_uuid, has_it)
        if self._known.get(said.job_uuid) == miner:
            self._outbox.pass_on(said)

    def _know(self, uuid: str, miner: str) -> None:
        if uuid not in self._known and len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[uuid] = miner
