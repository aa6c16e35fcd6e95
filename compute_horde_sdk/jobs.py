"""A job as its user holds it: where it stands, and how to wait for it."""

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self

from compute_horde_sdk import results
from compute_horde_sdk.errors import ComputeHordeError, ComputeHordeJobTimeoutError
from compute_horde_sdk.results import ComputeHordeJobResult
from compute_horde_sdk.statuses import (
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

    from compute_horde_sdk.client import ComputeHordeClient
    from compute_horde_sdk.logs import LogPiece
    from compute_horde_sdk.streaming import Server, StreamingClient

StatusCallback = Callable[["ComputeHordeJob", ComputeHordeJobStatusEntry], Awaitable[None] | None]
ProgressCallback = Callable[["ComputeHordeJob", JobProgress], None]


class ComputeHordeJob:
    """A job at the facilitator. Made by `ComputeHordeClient`, not by hand."""

    def __init__(
        self,
        client: "ComputeHordeClient",
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
        self._told = 0
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
        self.docker_image = ""
        self.executor_class = ""

    @classmethod
    def from_answer(cls, client: "ComputeHordeClient", answer: Any) -> Self:
        """The job in a facilitator's JSON; `ComputeHordeError` when it is none."""
        uuid = answer.get("uuid") if isinstance(answer, dict) else None
        if not isinstance(uuid, str) or not is_uuid(uuid):
            raise ComputeHordeError("the facilitator's answer is malformed: it is not a job")
        job = cls(client, uuid, [])
        job.learn(answer)
        return job

    @property
    def status(self) -> ComputeHordeJobStatus:
        """Where the job stands."""
        return self._entry.status

    @property
    def error(self) -> JobError | None:
        """What went wrong: a rejection, a failure of the job or of the network; else None."""
        metadata = self._entry.metadata
        return metadata.error if metadata else None

    @property
    def _entry(self) -> ComputeHordeJobStatusEntry:
        entry = current(self.status_history)
        if entry is None:
            raise ComputeHordeError(f"the facilitator told no status of job {self.uuid}")
        return entry

    async def wait(
        self, timeout: float | None = None, status_callback: StatusCallback | None = None
    ) -> None:
        """Wait until the job has ended, well or badly.

        `status_callback`, which may be async, gets this job and each status once, in order;
        `on_progress`, if that is set, how much of its image or inputs is there. After `timeout`
        seconds raises `ComputeHordeJobTimeoutError`; the job itself goes on.
        """
        async with self._deadline(timeout, "complete"):
            await self._tell(status_callback)
            async with aclosing(self._news()) as news:
                async for made in news:
                    if made is not None and self.on_progress is not None:
                        self.on_progress(self, made)
                    await self._tell(status_callback)
            await self._fetch_result()

    async def cancel(self) -> None:
        """Have the job ended. It ends a moment later, as `wait` tells, with its output so far."""
        told = await self._client.cancel_job(self.uuid)
        self._append_unknown(told.status_history)
        self.result = self.result or told.result

    async def wait_for_streaming(self, timeout: float | None = None) -> None:
        """Wait until the job serves; its address and certificate are known then.

        Raises `ComputeHordeError` when the job ends without ever having served, or when the server
        is not the one that the job's miner and validator signed.
        """
        async with self._deadline(timeout, "start streaming"):
            if not self._has_streamed():
                async with aclosing(self._news()) as news:
                    async for _ in news:
                        if self._has_streamed():
                            break
            if self._has_streamed() and self.streaming_server_address is None:
                await self.refresh_from_facilitator()
        if not self._has_streamed():
            error = self.error
            cause = f": {error.reason}: {error.message}" if error else ""
            raise ComputeHordeError(
                f"job {self.uuid} ended {self.status.value} without streaming{cause}"
            )
        if self.streaming_proof:
            self._server(require_proof=True)

    def streaming_client(
        self, *, require_proof: bool = False, clock_skew_seconds: float = 30.0
    ) -> "StreamingClient":
        """An `httpx.AsyncClient` for the service of this job, once that serves.

        It speaks to no other server and shows the job's certificate. A proof that comes with the
        address is checked; `require_proof` refuses an address without one. Signed answers may be
        `clock_skew_seconds` off our clock.
        """
        from compute_horde_sdk import streaming

        return streaming.client_of(
            self._server(require_proof=require_proof),
            self.streaming_public_cert,
            self.streaming_private_key,
            clock_skew_seconds=clock_skew_seconds,
        )

    def _server(self, *, require_proof: bool) -> "Server":
        """Where it serves; `ComputeHordeError` when that is unknown or not genuine."""
        from compute_horde_sdk import streaming

        address, port = self.streaming_server_address, self.streaming_server_port
        if address is None or port is None or self.streaming_server_cert is None:
            raise ComputeHordeError(
                f"where job {self.uuid} serves is not known: await wait_for_streaming() first"
            )
        server = streaming.Server(self.uuid, address, port, self.streaming_server_cert)
        proof = streaming.proof_from(self.streaming_proof)
        if proof:
            server.check(proof, self._client.compute_horde_validator_hotkey)
        elif require_proof:
            raise ComputeHordeError(
                f"nobody signed where job {self.uuid} serves: its validator or the facilitator is "
                "too old for that"
            )
        return server

    async def refresh_from_facilitator(self) -> None:
        """Ask the facilitator once where the job stands."""
        self.learn(await self._client.facilitator.get(f"api/v1/jobs/{self.uuid}/"))

    def learn(self, answer: Any) -> None:
        """Take in a facilitator's JSON of this job; what is known already stays as it is."""
        history = answer.get("status_history") if isinstance(answer, dict) else None
        if not isinstance(history, list):
            raise ComputeHordeError("the facilitator's answer is malformed: no status history")
        try:
            entries = [entry for told in history if (entry := entry_from(told))]
        except ValueError as exc:
            raise ComputeHordeError(f"the facilitator's answer is malformed: {exc}") from exc
        self._append_unknown(entries)
        self.docker_image = str(answer.get("docker_image") or self.docker_image)
        self.executor_class = str(answer.get("executor_class") or self.executor_class)
        self._note_server(_server(answer), answer.get("streaming_proof"))
        if self.status_history and not self.status.is_in_progress():
            result = results.result_from(
                answer.get("stdout"),
                answer.get("stderr"),
                answer.get("artifacts"),
                answer.get("upload_results"),
            )
            self.result = results.with_failure_output(result, self._entry)

    def _append_unknown(self, entries: list[ComputeHordeJobStatusEntry]) -> None:
        """Add what is new of a whole history; a status may stand in it more than once."""
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
        """What the job prints, while it prints it, from byte `from_` of its log on.

        With `follow` until the job has ended. Connects again by itself; to go on later, give the
        `cursor` of the last piece as `from_`. Raises `LogsUnavailable` where there are no logs.
        """
        from compute_horde_sdk.logs import Reading

        return Reading(self._client.facilitator, self.uuid, follow=follow, from_=from_).pieces()

    async def _news(self) -> AsyncGenerator[JobProgress | None, None]:
        """One turn for each piece of news, until the job has ended; progress as it is."""
        if not self.status.is_in_progress():
            return
        async with aclosing(self._client.watch(self.uuid).news()) as stream:
            async for news in stream:
                if isinstance(news, JobProgress):
                    yield news
                    continue
                if isinstance(news, ComputeHordeJobStatusEntry):
                    # After a lost connection the stream may start over; a pushed status never
                    # comes twice otherwise.
                    if all(news.status != known.status for known in self.status_history):
                        self._append(news)
                else:
                    self.learn(news)
                yield None
                if not self.status.is_in_progress():
                    return

    async def _tell(self, callback: StatusCallback | None) -> None:
        while callback is not None and self._told < len(self.status_history):
            self._told += 1
            told = callback(self, self.status_history[self._told - 1])
            if inspect.isawaitable(told):
                await told

    async def _fetch_result(self) -> None:
        if self.result is None:
            self.result = results.pushed_result(self._entry)
        if self.result is None:
            await self.refresh_from_facilitator()

    def _has_streamed(self) -> bool:
        return any(entry.status.is_streaming_ready() for entry in self.status_history)

    def _deadline(self, timeout: float | None, goal: str) -> "_Deadline":
        return _Deadline(self, timeout, goal)

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}: {self.uuid!r}>"


class _Deadline:
    """`asyncio.timeout` that raises the SDK's own error, and only for its own expiry."""

    def __init__(self, job: ComputeHordeJob, timeout: float | None, goal: str) -> None:
        self._job, self._timeout, self._goal = job, timeout, goal
        self._scope = asyncio.timeout(timeout)

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()

    async def __aexit__(self, *raised: Any) -> None:
        try:
            await self._scope.__aexit__(*raised)
        except TimeoutError as exc:
            if not self._scope.expired():
                raise
            job = self._job
            raise ComputeHordeJobTimeoutError(
                f"job {job.uuid} did not {self._goal} within {self._timeout} seconds, last status: "
                f"{job.status.value}; it goes on: wait again, or see compute-horde job {job.uuid}"
            ) from exc


def is_uuid(word: str) -> bool:
    """Whether `word` may name a job: it goes into paths and onto terminals."""
    return bool(word) and word.isascii() and word.replace("-", "").isalnum()


def _server(answer: dict[str, Any]) -> StreamingServer:
    port = answer.get("streaming_server_port")
    return StreamingServer(
        streaming_server_cert=answer.get("streaming_server_cert") or None,
        streaming_server_address=answer.get("streaming_server_address") or None,
        streaming_server_port=port if isinstance(port, int) and port else None,
    )
