"""Relays the output of jobs to validators; it is held in memory for some time."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from compute_horde.concurrency.byte_budget import ByteBudget
from compute_horde.frames import MAX_FRAME_BYTES
from compute_horde.lifecycle import FINAL
from compute_horde.output_buffer import OutputBuffer, SendQueue
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from miner.jobs.live_job import LiveJob
from miner.jobs.validator_sockets import Parties

JOB_BYTES = 8 * 2**20
ALL_BYTES = 64 * 2**20
# Limits of the messages waiting to be sent: to one socket about one job, to one socket, in all.
JOB_MESSAGE_BYTES = MAX_FRAME_BYTES + 8 * 2**20
SOCKET_MESSAGE_BYTES = 128 * 2**20
ALL_MESSAGE_BYTES = 512 * 2**20
CHECK_SECONDS = 60.0
# How many checks a job is held for after its end, so that a validator that was disconnected gets
# its output, and after its finished receipt.
CHECKS_AFTER_END = 10
CHECKS_AFTER_RECEIPT = 1


waiting_messages = ByteBudget(ALL_MESSAGE_BYTES)


@dataclass(frozen=True, slots=True)
class _QueuedMessage:
    job_uuid: str
    text: str | bytes


class OutboundQueue:
    """The messages and output to be sent to one socket; output waits in the shared buffer.

    When the messages about one job, or all of them, exceed a limit, all are dropped and
    `overflowed` is called.
    """

    def __init__(
        self, buffer: OutputBuffer, *, output: bool, overflowed: Callable[[], None]
    ) -> None:
        self._buffer, self._output = buffer, output
        self._queue: SendQueue[_QueuedMessage] = SendQueue(buffer, output=output)
        self._overflowed = overflowed
        self._budget = waiting_messages.part(SOCKET_MESSAGE_BYTES)
        self._jobs: dict[str, ByteBudget] = {}
        self._changed = asyncio.Event()

    def put(self, text: str, job_uuid: str) -> None:
        """Queue a message about a job; it is sent after the earlier output of the job."""
        # In memory, a text with one wide character takes up to four times as much as its bytes.
        held = text if text.isascii() else text.encode("utf-8", "surrogatepass")
        message = _QueuedMessage(job_uuid, held)
        self._queue.enqueue(message, job_uuid)
        if job_uuid not in self._jobs:
            self._jobs[job_uuid] = self._budget.part(JOB_MESSAGE_BYTES, drop=self._drop)
        self._jobs[job_uuid].add(len(message.text))
        self._changed.set()

    def close(self) -> None:
        """The socket was closed."""
        self._queue = SendQueue(self._buffer)
        self._forget_messages()

    def on_output(self, job_uuid: str) -> None:
        """A piece of output of a job was added to the buffer."""
        self._queue.on_piece_added(job_uuid)
        self._changed.set()

    def put_progress(self, progress: ProgressMade) -> None:
        """Queue progress of a job, replacing an older one that was not sent."""
        self._queue.enqueue_progress(progress)
        self._changed.set()

    def forget(self, job_uuid: str) -> None:
        """The output of this job was removed from the buffer."""
        self._queue.forget(job_uuid)
        self._changed.set()

    def rest_of(self, job_uuid: str) -> Iterator[str]:
        """The output of a job not sent yet; it counts as sent once yielded."""
        return (piece.encode() for piece in self._queue.rest_of(job_uuid))

    async def next(self) -> str:
        """Wait for the next frame to send."""
        while True:
            if found := self._queue.next():
                return self._unpack(found) if isinstance(found, _QueuedMessage) else found.encode()
            self._changed.clear()
            await self._changed.wait()

    def _unpack(self, message: "_QueuedMessage") -> str:
        job = self._jobs[message.job_uuid]
        job.remove(len(message.text))
        if not job.held:
            del self._jobs[message.job_uuid]
        text = message.text
        return text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")

    def _drop(self) -> None:
        self._queue = SendQueue(self._buffer, output=self._output)
        self._forget_messages()
        self._overflowed()

    def _forget_messages(self) -> None:
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.close()


class OutputRelay:
    """Holds the output of jobs in memory and relays it; it is never stored."""

    def __init__(self, job_bytes: int = JOB_BYTES, all_bytes: int = ALL_BYTES) -> None:
        self.buffer = OutputBuffer(job_bytes, all_bytes)
        self._jobs: dict[str, LiveJob] = {}
        self._checks_left: dict[str, int] = {}
        self._queues: dict[Parties, set[OutboundQueue]] = {}

    def subscribe(self, parties: Parties, queue: OutboundQueue) -> None:
        """Relay the output of the jobs of `parties` to a queue, first all that is held."""
        self._queues.setdefault(parties, set()).add(queue)
        for uuid, job in self._jobs.items():
            if job.parties == parties:
                queue.on_output(uuid)

    def unsubscribe(self, parties: Parties, queue: OutboundQueue) -> None:
        """Stop relaying to a queue."""
        queues = self._queues.get(parties, set())
        queues.discard(queue)
        if not queues:
            self._queues.pop(parties, None)

    def relay(self, job: LiveJob, output: OutputPrinted | ProgressMade) -> None:
        """Relay output or progress that an executor sent about its active job."""
        if job.state in FINAL:
            return
        queues = self._queues.get(job.parties, ())
        if isinstance(output, ProgressMade):
            for queue in queues:
                queue.put_progress(output)
            return
        if job.uuid not in self._jobs:
            self._jobs[job.uuid] = job
            self._schedule_check(job.uuid, CHECKS_AFTER_END)
        if self.buffer.add(output):
            for queue in queues:
                queue.on_output(job.uuid)

    def on_receipt(self, job_uuid: str, parties: Parties) -> None:
        """The validator sent the finished receipt, so it hardly needs the output again."""
        job = self._jobs.get(job_uuid)
        if job and job.parties == parties:
            self._checks_left[job_uuid] = min(self._checks_left[job_uuid], CHECKS_AFTER_RECEIPT)

    def _schedule_check(self, job_uuid: str, checks: int) -> None:
        self._checks_left[job_uuid] = checks
        asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check, job_uuid)

    def _check(self, job_uuid: str) -> None:
        """Drop the output of a job some time after its end."""
        if self._jobs[job_uuid].state not in FINAL:
            self._schedule_check(job_uuid, CHECKS_AFTER_END)
        elif checks := self._checks_left[job_uuid]:
            self._schedule_check(job_uuid, checks - 1)
        else:
            parties = self._jobs.pop(job_uuid).parties
            del self._checks_left[job_uuid]
            self.buffer.forget(job_uuid)
            for queue in self._queues.get(parties, ()):
                queue.forget(job_uuid)
