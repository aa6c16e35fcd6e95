"""A job of the user: its status, waiting for it, its logs, and its streaming server."""

import inspect
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, Self

from compute_horde.job_uuid import is_job_uuid
from compute_horde_sdk import job_result
from compute_horde_sdk.deadline import Deadline
from compute_horde_sdk.errors import ComputeHordeError, attach_job_to_errors
from compute_horde_sdk.job_result import ComputeHordeJobResult
from compute_horde_sdk.job_status import (
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    JobError,
    JobProgress,
    StreamingServer,
    current,
    entry_from,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate

    from compute_horde.faults import Fault
    from compute_horde_sdk.facilitator.http import Facilitator
    from compute_horde_sdk.facilitator.job_logs import LogPiece
    from compute_horde_sdk.facilitator.job_updates import JobWatcher
    from compute_horde_sdk.streaming_client import JobServer, StreamingClient

StatusCallback = Callable[["ComputeHordeJob", ComputeHordeJobStatusEntry], Awaitable[None] | None]
ProgressCallback = Callable[["ComputeHordeJob", JobProgress], None]


class JobClient(Protocol):
    """What a job needs of the client that made it."""

    compute_horde_validator_hotkey: str

    @property
    def facilitator(self) -> "Facilitator": ...

    def watch(self, job_uuid: str) -> "JobWatcher": ...

    async def cancel_job(self, job_uuid: str) -> "ComputeHordeJob": ...


class ComputeHordeJob:
    """A job at the facilitator. Instances are made by `ComputeHordeClient`."""

    def __init__(
        self,
        client: JobClient,
        uuid: str,
        status_history: list[ComputeHordeJobStatusEntry],
        result: ComputeHordeJobResult | None = None,
        streaming_public_cert: "Certificate | None" = None,
        streaming_private_key: "RSAPrivateKey | None" = None,
        streaming_server_cert: str | None = None,
        streaming_server_address: str | None = None,
        streaming_server_port: int | None = None,
    ) -> None:
        self._client = client
        self._reported_count = 0
        self.uuid = uuid
        self.status_history = status_history
        self.result = result
        self.streaming_public_cert = streaming_public_cert
        self.streaming_private_key = streaming_private_key
        self.streaming_server_cert = streaming_server_cert
        self.streaming_server_address = streaming_server_address
        self.streaming_server_port = streaming_server_port
        self.on_progress: ProgressCallback | None = None
        self.streaming_proof: dict[str, Any] | None = None
        self.on_trusted_miner = False
        self.docker_image = ""
        self.executor_class = ""

    @classmethod
    def from_answer(cls, client: JobClient, answer: Any) -> Self:
        """Parse the facilitator's JSON of a job; raises `ComputeHordeError` when malformed."""
        uuid = answer.get("uuid") if isinstance(answer, dict) else None
        if not isinstance(uuid, str) or not is_job_uuid(uuid):
            raise ComputeHordeError("the facilitator's answer is malformed: it is not a job")
        job = cls(client, uuid, [])
        job.update_from(answer)
        return job

    @property
    def status(self) -> ComputeHordeJobStatus:
        """The present status, or the final one once the job has ended."""
        return self._entry.status

    @property
    def error(self) -> JobError | None:
        """The rejection, job failure or network failure of the present status, or None."""
        metadata = self._entry.metadata
        return metadata.error if metadata else None

    @property
    def fault(self) -> "Fault | None":
        """Who is blamed for the error, and what to do now; None without an error."""
        from compute_horde_sdk import fault_attribution

        error = self.error
        trusted = self.on_trusted_miner
        return fault_attribution.fault_of_error(error, on_trusted_miner=trusted) if error else None

    @property
    def _entry(self) -> ComputeHordeJobStatusEntry:
        entry = current(self.status_history)
        if entry is None:
            raise ComputeHordeError(f"the facilitator sent no status of job {self.uuid}")
        return entry

    async def wait(
        self, timeout: float | None = None, status_callback: StatusCallback | None = None
    ) -> None:
        """Wait until the job has ended, successfully or not.

        `status_callback`, sync or async, gets this job and each status once, in order.
        `on_progress`, if set, gets the progress of image and input downloads. After `timeout`
        seconds raises `ComputeHordeJobTimeoutError`; the job itself keeps running.
        """
        async with Deadline(self, timeout, "complete"):
            await self._report_statuses(status_callback)
            async with aclosing(self._updates()) as updates:
                async for made in updates:
                    if made is not None and self.on_progress is not None:
                        self.on_progress(self, made)
                    await self._report_statuses(status_callback)
            await self._fetch_result()

    async def cancel(self) -> None:
        """Ask for cancellation. The job ends a moment later, with its output so far; see `wait`."""
        with attach_job_to_errors(self.uuid, self):
            cancelled = await self._client.cancel_job(self.uuid)
        self._append_new(cancelled.status_history)
        self.result = self.result or cancelled.result

    async def wait_for_streaming(
        self, timeout: float | None = None, *, require_proof: bool | None = None
    ) -> None:
        """Wait until the job's streaming server is ready and its address and certificate known.

        Raises `ComputeHordeError` when the job ends without ever having been ready, or when the
        server is not the one that the job's miner and validator signed (`require_proof` as in
        `streaming_client`), and `ComputeHordeJobTimeoutError` after `timeout` seconds.
        """
        async with Deadline(self, timeout, "start streaming"):
            if not self._was_streaming_ready():
                async with aclosing(self._updates()) as updates:
                    async for _ in updates:
                        if self._was_streaming_ready():
                            break
            if self._was_streaming_ready() and self.streaming_server_address is None:
                await self.refresh_from_facilitator()
        with attach_job_to_errors(self.uuid, self):
            if not self._was_streaming_ready():
                error = self.error
                cause = f": {error.reason}: {error.message}" if error else ""
                raise ComputeHordeError(
                    f"job {self.uuid} ended {self.status.value} without streaming{cause}"
                )
            if self.streaming_server_address is not None:
                self._server(require_proof=require_proof)

    def streaming_client(
        self, *, require_proof: bool | None = None, clock_skew_seconds: float = 30.0
    ) -> "StreamingClient":
        """An `httpx.AsyncClient` for this job's streaming server, once that is ready.

        It trusts only that server and authenticates with the job's certificate. If the address
        comes with a signed proof, the proof is verified. An address without a proof is rejected if
        this validator has ever given this user a proof, or if `require_proof=True`;
        `require_proof=False` accepts it. Timestamps of signed answers may differ from the local
        clock by `clock_skew_seconds`.
        """
        from compute_horde_sdk.streaming_client import client_of

        with attach_job_to_errors(self.uuid, self):
            return client_of(
                self._server(require_proof=require_proof),
                self.streaming_public_cert,
                self.streaming_private_key,
                clock_skew_seconds=clock_skew_seconds,
            )

    def _server(self, *, require_proof: bool | None) -> "JobServer":
        """The job's streaming server; raises `ComputeHordeError` when unknown or not genuine."""
        from compute_horde_sdk import peers_requiring_proof
        from compute_horde_sdk.streaming_client import JobServer, proof_from

        address, port = self.streaming_server_address, self.streaming_server_port
        if address is None or port is None or self.streaming_server_cert is None:
            raise ComputeHordeError(
                f"the streaming server of job {self.uuid} is not known yet: "
                "await wait_for_streaming() first"
            )
        server = JobServer(self.uuid, address, port, self.streaming_server_cert)
        proof = proof_from(self.streaming_proof)
        validator = self._client.compute_horde_validator_hotkey
        if proof:
            server.check(proof, validator)
            peers_requiring_proof.validators.add(validator)
        elif require_proof is None and validator in peers_requiring_proof.validators:
            raise ComputeHordeError(
                f"the streaming address of job {self.uuid} is not signed, but validator "
                f"{validator} has signed such addresses before: the facilitator may have replaced "
                "the server. Create a new job and inform the validator; require_proof=False "
                "connects anyway"
            )
        elif require_proof:
            raise ComputeHordeError(
                f"the streaming address of job {self.uuid} is not signed: the software of its "
                "validator or of the facilitator is too old for that"
            )
        return server

    async def refresh_from_facilitator(self) -> None:
        """Fetch the job's present state from the facilitator once."""
        with attach_job_to_errors(self.uuid, self):
            self.update_from(await self._client.facilitator.get(f"api/v1/jobs/{self.uuid}/"))

    def update_from(self, answer: Any) -> None:
        """Update this job from the facilitator's JSON; statuses already known are kept."""
        history = answer.get("status_history") if isinstance(answer, dict) else None
        if not isinstance(history, list):
            raise ComputeHordeError("the facilitator's answer is malformed: no status history")
        try:
            entries = [entry for item in history if (entry := entry_from(item))]
        except ValueError as exc:
            raise ComputeHordeError(f"the facilitator's answer is malformed: {exc}") from exc
        self._append_new(entries)
        self.on_trusted_miner = answer.get("on_trusted_miner") is True
        self.docker_image = str(answer.get("docker_image") or self.docker_image)
        self.executor_class = str(answer.get("executor_class") or self.executor_class)
        self._note_server(_server(answer), answer.get("streaming_proof"))
        if self.status_history and not self.status.is_in_progress():
            result = job_result.result_from(
                answer.get("stdout"),
                answer.get("stderr"),
                answer.get("artifacts"),
                answer.get("upload_results"),
                answer.get("left_out"),
                answer.get("truncated"),
                answer.get("raw_output"),
            )
            self.result = job_result.with_failure_output(result, self._entry)

    def _append_new(self, entries: list[ComputeHordeJobStatusEntry]) -> None:
        """Add the new entries of a full history; the same status may occur in it repeatedly."""
        known = Counter(entry.status for entry in self.status_history)
        for entry in entries:
            if known[entry.status] > 0:
                known[entry.status] -= 1
                continue
            self._append(entry)

    def _append(self, entry: ComputeHordeJobStatusEntry) -> None:
        self.status_history.append(entry)
        if entry.metadata and entry.metadata.streaming_details:
            self._note_server(entry.metadata.streaming_details, entry.metadata.streaming_proof)

    def _note_server(self, server: StreamingServer, proof: Any) -> None:
        self.streaming_proof = proof or self.streaming_proof
        self.streaming_server_cert = server.streaming_server_cert or self.streaming_server_cert
        self.streaming_server_address = (
            server.streaming_server_address or self.streaming_server_address
        )
        self.streaming_server_port = server.streaming_server_port or self.streaming_server_port

    def logs(self, follow: bool = True, from_: int = 0) -> "AsyncIterator[LogPiece]":  # noqa: FBT001, FBT002
        """Yield the job's output while it is printed, from byte `from_` of its log.

        With `follow`, ends when the job has ended. Reconnects automatically; to resume later, pass
        the `cursor` of the last piece as `from_`. Raises `LogsUnavailable` when the facilitator
        has no logs of running jobs.
        """
        from compute_horde_sdk.facilitator.job_logs import JobLogReader

        reading = JobLogReader(self._client.facilitator, self.uuid, follow=follow, from_=from_)
        return reading.pieces(self)

    async def _updates(self) -> AsyncGenerator[JobProgress | None, None]:
        """Yield once per update, until the job has ended: the progress, or None for a status."""
        if not self.status.is_in_progress():
            return
        async with aclosing(self._client.watch(self.uuid).updates()) as stream:
            async for update in stream:
                if isinstance(update, JobProgress):
                    yield update
                    continue
                if isinstance(update, ComputeHordeJobStatusEntry):
                    # A reconnected stream may start over; otherwise no status is pushed twice.
                    if all(update.status != known.status for known in self.status_history):
                        self._append(update)
                else:
                    self.update_from(update)
                yield None
                if not self.status.is_in_progress():
                    return

    async def _report_statuses(self, callback: StatusCallback | None) -> None:
        while callback is not None and self._reported_count < len(self.status_history):
            self._reported_count += 1
            pending = callback(self, self.status_history[self._reported_count - 1])
            if inspect.isawaitable(pending):
                await pending

    async def _fetch_result(self) -> None:
        if self.result is None:
            self.result = job_result.pushed_result(self._entry)
        if self.result is None:
            await self.refresh_from_facilitator()
        await self.complete_output()

    async def complete_output(self) -> None:
        """Replace truncated output in the result by the full output from the job's log.

        `result.truncated` keeps the streams for which that was not possible.
        """
        if self.result is not None and self.result.truncated:
            from compute_horde_sdk.full_output import complete

            await complete(self.result, self.logs(follow=False))

    def _was_streaming_ready(self) -> bool:
        return any(entry.status.is_streaming_ready() for entry in self.status_history)

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}: {self.uuid!r}>"


def _server(answer: dict[str, Any]) -> StreamingServer:
    port = answer.get("streaming_server_port")
    return StreamingServer(
        streaming_server_cert=answer.get("streaming_server_cert") or None,
        streaming_server_address=answer.get("streaming_server_address") or None,
        streaming_server_port=port if isinstance(port, int) and port else None,
    )
