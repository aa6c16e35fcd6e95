"""Messages waiting to be sent to the facilitator, in order, until each is acknowledged."""

import asyncio
from collections import deque

from compute_horde.lifecycle import FINAL
from compute_horde.output_buffer import MAX_OFFSET, OutputBuffer, SendQueue
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.status import StatusReported
from validator.facilitator.waiting_statuses import Stored, WaitingStatuses

JOB_BYTES = 8 * 2**20
ALL_BYTES = 64 * 2**20
# At most so many pieces of output are unanswered, so that statuses do not wait behind them.
MAX_PIECES_IN_FLIGHT = 16

Status = StatusReported | Stored


class Outbox:
    """Queue of statuses, output and progress; sends the unacknowledged again on a new connection.

    No status is lost: those in the database are held in memory up to a limit and read again when
    needed. Output beyond its limit is dropped, oldest first. It is sent when no status waits, but
    a job's own statuses wait for the output before them.
    """

    def __init__(
        self,
        job_bytes: int = JOB_BYTES,
        all_bytes: int = ALL_BYTES,
        *,
        statuses: WaitingStatuses | None = None,
    ) -> None:
        self._output = OutputBuffer(job_bytes, all_bytes)
        self._statuses = statuses or WaitingStatuses()
        self._queue: SendQueue[Status] = SendQueue(self._output)
        self._unanswered: deque[Status | OutputPrinted] = deque()
        self._pieces_in_flight = 0
        # Output is kept until a facilitator without the extension has logged this validator in.
        self._drops_output = False
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue) + len(self._unanswered)

    def add(self, report: StatusReported) -> None:
        """Queue a status that is not in the database."""
        self._queue.enqueue(report, report.uuid)
        self._changed.set()

    def add_stored(self, report: StatusReported | Stored) -> None:
        """Queue a status that can be read again from the database."""
        if isinstance(report, StatusReported):
            report = self._statuses.hold(report)
        self._queue.enqueue(report, report.uuid)
        self._changed.set()

    def add_output(self, message: OutputPrinted | ProgressMade) -> None:
        """Queue output or progress of a job, if the facilitator supports it."""
        if isinstance(message, ProgressMade):
            self._queue.enqueue_progress(message)
        elif self._drops_output or not self._output.add(message):
            return
        else:
            self._queue.on_piece_added(message.job_uuid)
        self._changed.set()

    async def next(self) -> StatusReported | OutputPrinted | ProgressMade:
        """Wait for the next message to send; all but progress count as unanswered from now on."""
        while True:
            found = self._queue.next(output=self._pieces_in_flight < MAX_PIECES_IN_FLIGHT)
            if found is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            if isinstance(found, OutputPrinted):
                self._pieces_in_flight += 1
            if not isinstance(found, ProgressMade):
                # Before the next await, so that it is sent again if this task is cancelled.
                self._unanswered.append(found)
            if not isinstance(found, Stored):
                return found
            if report := await self._statuses.get(found):
                return report
            if self._unanswered and self._unanswered[-1] is found:
                self._unanswered.pop()

    def on_answer(self) -> Status | OutputPrinted | None:
        """Take the message that the facilitator answered; answers come in the order of sending."""
        if not self._unanswered:
            return None
        report = self._unanswered.popleft()
        if isinstance(report, OutputPrinted):
            self._pieces_in_flight -= 1
            self._output.drop_acknowledged(report.job_uuid, report.end)
            self._changed.set()
            return report
        if isinstance(report, Stored):
            self._statuses.release(report)
        if report.status in FINAL:
            self._output.drop_acknowledged(report.uuid, MAX_OFFSET)
            self._queue.forget(report.uuid)
        return report

    def reopen(self, *, output: bool = False) -> None:
        """Queue all unanswered messages again, on a new connection.

        `output` is whether the facilitator supports output; if not, output is dropped.
        """
        statuses = [one for one in self._unanswered if not isinstance(one, OutputPrinted)]
        statuses += self._queue.unsent()
        self._unanswered.clear()
        self._pieces_in_flight = 0
        self._drops_output = not output
        self._queue = SendQueue(self._output, output=output)
        for uuid in list(self._output):
            if output:
                self._queue.on_piece_added(uuid)
            else:
                self._output.drop_acknowledged(uuid, MAX_OFFSET)
        for status in statuses:
            self._queue.enqueue(status, status.uuid)
        self._changed.set()
