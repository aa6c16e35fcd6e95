"""Passes output and progress from miners to the facilitator, if the miner has the job."""

from collections.abc import Callable, Mapping

from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from validator.facilitator.outbox import Outbox

MAX_KNOWN = 4096


class OutputRelay:
    """Passes output and progress of jobs to the outbox.

    It is accepted only from the miner that has the job, or had it last: the end of the output may
    be sent again after a lost connection.
    """

    def __init__(self, outbox: Outbox, miner_of: Callable[[str], str | None]) -> None:
        self._outbox = outbox
        self._miner_of = miner_of
        self._known: dict[str, str] = {}

    def remember(self, miners: Mapping[str, str]) -> None:
        """Remember the miners of jobs of an earlier process, given as UUID to hotkey."""
        for uuid, miner in miners.items():
            self._remember_miner(uuid, miner)

    def relay(self, miner: str, message: OutputPrinted | ProgressMade) -> None:
        """Pass on a message of a miner, or drop it when the job is another miner's."""
        present = self._miner_of(message.job_uuid)
        if present is not None:
            self._remember_miner(message.job_uuid, present)
        if self._known.get(message.job_uuid) == miner:
            self._outbox.add_output(message)

    def _remember_miner(self, uuid: str, miner: str) -> None:
        if uuid not in self._known and len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[uuid] = miner
