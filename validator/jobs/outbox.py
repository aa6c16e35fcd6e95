"""What is on its way to the facilitator, in order, until it is acknowledged."""

import asyncio
from collections import deque

from compute_horde.lifecycle import FINAL
from compute_horde.output import MAX_OFFSET, Kept, Turns
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.status import StatusReported

JOB_BYTES = 8 * 2**20
ALL_BYTES = 64 * 2**20
# So many pieces may be on their way, lest a status wait behind more.
PIECES_AT_ONCE = 16

Report = StatusReported | OutputPrinted


class Outbox:
    """What was not acknowledged is sent again, in order, on the next connection.

    Statuses are all kept. Of what jobs print the oldest is dropped when it is too much; it goes out
    when there is no status to tell, but a job's own statuses wait for it.
    """

    def __init__(self, job_bytes: int = JOB_BYTES, all_bytes: int = ALL_BYTES) -> None:
        self._kept = Kept(job_bytes, all_bytes)
        self._turns: Turns[StatusReported] = Turns(self._kept)
        self._unanswered: deque[Report] = deque()
        self._pieces = 0
        # Until a facilitator has said what it understands, it may understand output.
        self._refuses_output = False
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._turns) + len(self._unanswered)

    def add(self, report: StatusReported) -> None:
        """Tell the facilitator, as soon as it listens."""
        self._turns.say(report, report.uuid)
        self._news.set()

    def pass_on(self, said: OutputPrinted | ProgressMade) -> None:
        """Tell what a job prints, or how far it is, to a facilitator that wants to know."""
        if isinstance(said, ProgressMade):
            self._turns.made(said)
        elif self._refuses_output or not self._kept.add(said):
            return
        else:
            self._turns.printed(said.job_uuid)
        self._news.set()

    async def next(self) -> Report | ProgressMade:
        """The next to send; what will be answered counts as sent from now on."""
        while True:
            found = self._turns.next(output=self._pieces < PIECES_AT_ONCE)
            if found is not None:
                break
            self._news.clear()
            await self._news.wait()
        if isinstance(found, OutputPrinted):
            self._pieces += 1
        if not isinstance(found, ProgressMade):
            self._unanswered.append(found)
        return found

    def answered(self) -> Report | None:
        """The facilitator answered; answers come in the order of what we sent."""
        if not self._unanswered:
            return None
        report = self._unanswered.popleft()
        if isinstance(report, OutputPrinted):
            self._pieces -= 1
            self._kept.arrived(report.job_uuid, report.end)
            self._news.set()
        elif report.status in FINAL:
            self._kept.arrived(report.uuid, MAX_OFFSET)
            self._turns.forget(report.uuid)
        return report

    def reopen(self, *, output: bool = False) -> None:
        """A new connection: nothing that was not answered is known to have arrived."""
        statuses = [one for one in self._unanswered if isinstance(one, StatusReported)]
        statuses += self._turns.left()
        self._unanswered.clear()
        self._pieces = 0
        self._refuses_output = not output
        self._turns = Turns(self._kept, output=output)
        for uuid in list(self._kept):
            if output:
                self._turns.printed(uuid)
            else:
                self._kept.arrived(uuid, MAX_OFFSET)
        for status in statuses:
            self._turns.say(status, status.uuid)
        self._news.set()
