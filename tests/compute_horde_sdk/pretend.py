"""A fake facilitator over HTTP, with the published API or with this project's event streams."""

import asyncio
import gzip
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiohttp import web
from bittensor_core import Keypair

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.extensions import CancelRequested, check_cancel
from compute_horde.protocol.job import CheatReported
from tests.compute_horde_sdk.relayed import relayed, signature_of

USER = Keypair.create_from_uri("//Charlie")
VALIDATOR = Keypair.create_from_uri("//Alice").ss58_address

Step = tuple[float, str, dict[str, Any]]


def finished(stdout: str = "hi\n", stderr: str = "", **more: Any) -> dict[str, Any]:
    """The metadata of a completed job."""
    return {
        "miner_response": {
            "docker_process_stdout": stdout,
            "docker_process_stderr": stderr,
            "artifacts": {},
            "upload_results": {},
        }
        | more
    }


def steps(*statuses: str, end: Step | None = None, pace: float = 0.0) -> list[Step]:
    """One step per status, `pace` seconds apart."""
    return [(pace, status, {}) for status in statuses] + ([end] if end else [])


CANCELLED = {
    "job_failure_details": {
        "reason": "cancelled",
        "stage": "execution",
        "message": "The job was cancelled",
        "docker_process_stdout": "so far",
    }
}
ON_THE_WAY = ("received", "accepted", "executor_ready", "volumes_ready", "execution_done")
GOES_WELL = steps(*ON_THE_WAY, end=(0.0, "completed", finished()))


ENDS = {"completed", "failed", "rejected", "horde_failed", "cancelled"}


@dataclass
class Job:
    body: dict[str, Any]
    hotkey: str
    uuid: str = field(default_factory=lambda: str(uuid4()))
    history: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add_status(self, status: str, metadata: dict[str, Any] | None = None) -> None:
        now = datetime.now(UTC).isoformat()
        self.history.append({"status": status, "metadata": metadata or {}, "created_at": now})
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def ended(self) -> bool:
        return self.history[-1]["status"] in ENDS

    def as_json(self) -> dict[str, Any]:
        metadata = self.history[-1]["metadata"]
        response = metadata.get("miner_response") or metadata.get("job_failure_details") or {}
        return {
            "uuid": self.uuid,
            "executor_class": self.body["executor_class"],
            "created_at": self.history[0]["created_at"],
            "docker_image": self.body["docker_image"],
            "args": self.body["args"],
            "env": self.body["env"],
            "stdout": response.get("docker_process_stdout", ""),
            "stderr": response.get("docker_process_stderr", ""),
            "artifacts": response.get("artifacts", {}),
            "upload_results": response.get("upload_results", {}),
            "left_out": response.get("left_out", []),
            "truncated": response.get("truncated", {}),
            "raw_output": response.get("raw_output", {}),
            "streaming_server_cert": "",
            "streaming_server_address": "",
            "streaming_server_port": 0,
            "status_history": list(self.history),
        }


class Pretend:
    """The server's state and received requests; tests use it from their own thread."""

    def __init__(self) -> None:
        self.url = ""
        self.pushes = True
        self.announces: str | None = None
        self.allowed = {USER.ss58_address}
        self.nonces: Iterator[str] | None = None
        self.script: list[Step] = GOES_WELL
        self.token = "token-1"
        self.logins = 0
        self.jobs: dict[str, Job] = {}
        self.by_key: dict[str, Job] = {}
        self.requests: list[tuple[str, str, bytes, dict[str, str]]] = []
        # The next faults by "METHOD path-prefix": an HTTP status, "drop" or "drop after".
        self.faults: dict[str, list[int | str]] = defaultdict(list)
        # Number of events after which each next stream is cut; later streams are not.
        self.stream_breaks: list[int] = []
        self.resumed_from: list[str | None] = []
        self.reports: list[dict[str, Any]] = []
        # Seconds that a cancellation takes; None for a facilitator that cannot cancel.
        self.cancels: float | None = 0.0
        self.errors: dict[int, Any] = {}
        self.fault_headers: dict[str, str] = {}
        # The log pieces of every job, or None for a facilitator without logs; how often a reader
        # is disconnected after one piece; and whether the log never ends.
        self.log: list[dict[str, Any]] | None = None
        self.log_breaks = 0
        self.log_goes_on = False
        self.extra_bytes = b""
        # Content-Encoding of a job's page; gzip is applied as often as it occurs in here.
        self.encoding = ""
        # Redirect targets by "METHOD path-prefix".
        self.redirects: dict[str, str] = {}
        self._running: set[asyncio.Task[None]] = set()

    def seen(self, prefix: str) -> list[tuple[str, str, bytes, dict[str, str]]]:
        """The requests whose "METHOD path" begins with `prefix`."""
        return [one for one in self.requests if f"{one[0]} {one[1]}".startswith(prefix)]

    # The methods below run in the server's own event loop.

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._note], client_max_size=100 * 2**20)
        app.router.add_get("/auth/nonce", self._nonce)
        app.router.add_post("/auth/login", self._login)
        app.router.add_post("/api/v1/job-docker/", self._create)
        app.router.add_get("/api/v1/jobs/", self._list)
        app.router.add_get("/api/v1/jobs/{uuid}/", self._read)
        app.router.add_get("/api/v1/jobs/{uuid}/events", self._events)
        app.router.add_get("/api/v1/jobs/{uuid}/logs", self._logs)
        app.router.add_post("/api/v1/cheated-job/", self._report)
        app.router.add_post("/api/v1/jobs/{uuid}/cancel/", self._cancel)
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.path_qs, body, dict(request.headers)))
        fault = self._fault(request)
        if fault == "drop":
            request.transport.abort()
            return web.Response()
        if isinstance(fault, int):
            detail = self.errors.get(fault, {"detail": "no"})
            return web.json_response(detail, status=fault, headers=self.fault_headers)
        for prefix, where in self.redirects.items():
            if f"{request.method} {request.path}".startswith(prefix):
                return web.Response(status=302, headers={"Location": where})
        if request.path.startswith("/api") and (
            request.headers.get("Authorization") != f"Bearer {self.token}"
        ):
            return web.json_response({"detail": "Token expired."}, status=401)
        answer = await handler(request)
        if fault == "drop after":
            request.transport.abort()
        if self.announces and not answer.prepared:
            answer.headers["X-CH-Extensions"] = self.announces
        return answer

    def _fault(self, request: web.Request) -> int | str | None:
        for prefix, faults in self.faults.items():
            if f"{request.method} {request.path}".startswith(prefix) and faults:
                return faults.pop(0)
        return None

    async def _nonce(self, request: web.Request) -> web.Response:
        nonce = next(self.nonces) if self.nonces else f"{uuid4().hex}:1vbC2D:Qm9ndXM"
        return web.json_response({"nonce": nonce})

    async def _login(self, request: web.Request) -> web.Response:
        login = await request.json()
        if login["hotkey"] not in self.allowed:
            return web.json_response({"error": "Hotkey not allowed"}, status=400)
        try:
            signature = bytes.fromhex(login["signature"])
            signing.verify(login["hotkey"], login["nonce"].encode(), signature)
        except BadSignature:
            return web.json_response({"error": "Invalid signature"}, status=401)
        self.logins += 1
        return web.json_response({"token": self.token})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        try:
            relayed(body, signature_of(request)).verify()
        except BadSignature as exc:
            return web.json_response({"error": str(exc)}, status=400)
        key = request.headers.get("Idempotency-Key", str(uuid4())) if self.announces else ""
        job = self.by_key.get(key)
        if job is None:
            job = Job(body, request.headers["X-CH-Signatory"])
            job.add_status("sent")
            self.jobs[job.uuid] = job
            if key:
                self.by_key[key] = job
            task = asyncio.create_task(_play(job, self.script))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return web.json_response(job.as_json(), status=201)

    async def _list(self, request: web.Request) -> web.Response:
        page, size = int(request.query["page"]), int(request.query["page_size"])
        jobs = list(reversed(self.jobs.values()))
        chosen = jobs[(page - 1) * size : page * size]
        if page > 1 and not chosen:
            return web.json_response({"detail": "Invalid page."}, status=404)
        more = f"?page={page + 1}" if page * size < len(jobs) else None
        results = [job.as_json() for job in chosen]
        return web.json_response(
            {"count": len(jobs), "next": more, "previous": None, "results": results}
        )

    async def _read(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["uuid"])
        if job is None:
            return web.json_response({"detail": "Not found."}, status=404)
        text = json.dumps(job.as_json()).encode() + self.extra_bytes
        for _ in range(self.encoding.count("gzip")):
            text = gzip.compress(text)
        headers = {"Content-Encoding": self.encoding} if self.encoding else None
        return web.Response(body=text, content_type="application/json", headers=headers)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        job = self.jobs.get(request.match_info["uuid"])
        if job is None or not self.pushes:
            return web.json_response({"detail": "Not found."}, status=404)
        self.resumed_from.append(request.headers.get("Last-Event-ID"))
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"retry: 500\n\n: hello\n\n")
        breaks_after = self.stream_breaks.pop(0) if self.stream_breaks else None
        sent, at = 0, int(request.headers.get("Last-Event-ID", "0"))
        while True:
            changed = job.changed
            while at < len(job.history):
                if breaks_after is not None and sent >= breaks_after:
                    request.transport.abort()
                    return answer
                data = json.dumps(job.history[at])
                at, sent = at + 1, sent + 1
                await answer.write(f"id: {at}\ndata: {data}\n\n".encode())
            if job.ended:
                await answer.write(b"event: end\ndata: {}\n\n")
                return answer
            await changed.wait()

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["uuid"])
        if job is None or self.cancels is None:
            return web.json_response({"detail": "Not found."}, status=404)
        signed = CancelRequested(signature=signature_of(request), job_uuid=job.uuid)
        check_cancel(signed, job.hotkey)
        if not job.ended:
            played = _play(job, [(self.cancels, "cancelled", CANCELLED)])
            self._running.add(asyncio.create_task(played))
        return web.json_response(job.as_json(), status=200 if job.ended else 202)

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        if self.log is None or request.match_info["uuid"] not in self.jobs:
            return web.json_response({"detail": "Not found."}, status=404)
        start, size = int(request.query["from"]), len("".join(p["text"] for p in self.log).encode())
        if start > size:
            return web.json_response({"details": f"the log has {size} bytes so far"}, status=416)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        cursor = 0
        for piece in self.log:
            before, cursor = cursor, cursor + len(piece["text"].encode())
            if before < start:
                continue
            await answer.write(f"id: {cursor}\ndata: {json.dumps(piece)}\n\n".encode())
            if self.log_breaks:
                self.log_breaks -= 1
                request.transport.abort()
                return answer
        await answer.write(b"event: news from the future\ndata: {}\n\n")
        if self.log_goes_on:
            await asyncio.sleep(60)
        await answer.write(b"event: end\ndata: {}\n\n")
        return answer

    async def _report(self, request: web.Request) -> web.Response:
        report = await request.json()
        CheatReported(signature=signature_of(request), **report).verify()
        self.reports.append(report)
        return web.json_response({"message": "Job reported as cheated"}, status=201)


async def _play(job: Job, script: list[Step]) -> None:
    for pause, status, metadata in script:
        await asyncio.sleep(pause)
        if not job.ended:
            job.add_status(status, metadata)


@contextmanager
def running() -> Iterator[Pretend]:
    """Run the server in its own thread, for clients with and without an event loop."""
    pretend = Pretend()
    started: threading.Event = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(pretend.app(), shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pretend.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        started.set()
        await stop.wait()
        for task in list(pretend._running):
            task.cancel()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(10)
    try:
        yield pretend
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
