"""A miner's own executors that run nothing and make answers up."""

from compute_horde.protocol.job import JobOffered, JobPayload
from tests.network.in_process import InProcessManager


class LyingManager(InProcessManager):
    """Says at once that every job went well, whatever it was."""

    def printed(self, offered: JobOffered, payload: JobPayload) -> str:
        del offered, payload
        return "0"
