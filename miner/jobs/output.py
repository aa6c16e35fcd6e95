"""What jobs print: held in memory for a while, told to their validators' sockets in turn."""

import asyncio
from collections.abc import Iterator

from compute_horde.lifecycle import FINAL
from compute_horde.output import Kept, Turns
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from miner.jobs.live import LiveJob

JOB_BYTES = 8 * 2**20
ALL_BYTES = 64 * 2**20
LOOK_SECONDS = 60.0
# A validator that was away meanwhile hears it all when it is back.
LOOKS_AFTER_END = 10
LOOKS_AFTER_RECEIPT = 1


class Mouth:
    """What one socket has still to be told; pieces wait where all sockets share them."""

    def __init__(self, kept: Kept, *, output: bool) -> None:
        self._turns: Turns[str] = Turns(kept, output=output)
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._turns)

    def say(self, text: str, job_uuid: str) -> None:
        """A fact about a job; it waits for what the job printed before."""
        self._turns.say(text, job_uuid)
        self._news.set()

    def printed(self, job_uuid: str) -> None:
        """Something more of a job is kept."""
        self._turns.printed(job_uuid)
        self._news.set()

    def made(self, progress: ProgressMade) -> None:
        """News of the moment."""
        self._turns.made(progress)
        self._news.set()

    def forget(self, job_uuid: str) -> None:
        """Nothing of this job is kept any more."""
        self._turns.forget(job_uuid)
        self._news.set()

    def rest_of(self, job_uuid: str) -> Iterator[str]:
        """All that is kept of a job and was not told here."""
        return (piece.encode() for piece in self._turns.rest_of(job_uuid))

    async def next(self) -> str:
        """The next frame, as soon as there is one."""
        while True:
            if found := self._turns.next():
                return found if isinstance(found, str) else found.encode()
            self._news.clear()
            await self._news.wait()


class Output:
    """All that is held of what jobs print; nothing of it is written anywhere."""

    def __init__(self, job_bytes: int = JOB_BYTES, all_bytes: int = ALL_BYTES) -> None:
        self.kept = Kept(job_bytes, all_bytes)
        self._jobs: dict[str, LiveJob] = {}
        self._looks: dict[str, int] = {}
        self._mouths: dict[str, set[Mouth]] = {}

    def join(self, validator: str, mouth: Mouth) -> None:
        """From now on this socket is told, first all that is still held."""
        self._mouths.setdefault(validator, set()).add(mouth)
        for uuid, job in self._jobs.items():
            if job.validator == validator:
                mouth.printed(uuid)

    def leave(self, validator: str, mouth: Mouth) -> None:
        """The socket closed."""
        mouths = self._mouths.get(validator, set())
        mouths.discard(mouth)
        if not mouths:
            self._mouths.pop(validator, None)

    def hear(self, job: LiveJob, said: OutputPrinted | ProgressMade) -> None:
        """What an executor says of its job while that runs."""
        if job.state in FINAL:
            return
        mouths = self._mouths.get(job.validator, ())
        if isinstance(said, ProgressMade):
            for mouth in mouths:
                mouth.made(said)
            return
        if job.uuid not in self._jobs:
            self._jobs[job.uuid] = job
            self._look_later(job.uuid, LOOKS_AFTER_END)
        if self.kept.add(said):
            for mouth in mouths:
                mouth.printed(job.uuid)

    def closed(self, job_uuid: str, validator: str) -> None:
        """The validator has issued its last receipt; it will hardly ask again."""
        job = self._jobs.get(job_uuid)
        if job and job.validator == validator:
            self._looks[job_uuid] = min(self._looks[job_uuid], LOOKS_AFTER_RECEIPT)

    def _look_later(self, job_uuid: str, looks: int) -> None:
        self._looks[job_uuid] = looks
        asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look, job_uuid)

    def _look(self, job_uuid: str) -> None:
        """Forget a job some time after its end."""
        if self._jobs[job_uuid].state not in FINAL:
            self._look_later(job_uuid, LOOKS_AFTER_END)
        elif looks := self._looks[job_uuid]:
            self._look_later(job_uuid, looks - 1)
        else:
            validator = self._jobs.pop(job_uuid).validator
            del self._looks[job_uuid]
            self.kept.forget(job_uuid)
            for mouth in self._mouths.get(validator, ()):
                mouth.forget(job_uuid)
