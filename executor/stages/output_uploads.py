"""Uploads the job's output."""

import asyncio
import json
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from compute_horde.errors import JobError
from compute_horde.failure_messages import TIMEOUT_TEXT
from compute_horde.protocol.left_out import MAX_NAME_CHARACTERS, LeftOut
from compute_horde.uploads import FilePost, FilePut, MultiUpload, Upload, ZipPost, ZipPut
from compute_horde.vocabulary import FailureReason, Stage
from executor.config import Config
from executor.output.captured_output import CapturedOutput
from executor.sandbox.workdir import FULL, WorkDir, open_inside, replace_file
from executor.transfer import archives
from executor.transfer.archives import LeaveOut
from executor.transfer.http_client import HttpClient
from executor.transfer.http_errors import WebError
from executor.transfer.upload_attempts import UploadAnswer, UploadRequest

ZIP_NAME = "output.zip"
SYSTEM_OUTPUT = "system_output"
AT_ONCE = 8
# Characters of all answers as JSON; they are sent in one frame with the artifacts and the logs.
MAX_RESULTS_BYTES = 4 * 2**20

Sending = tuple[str, Coroutine[Any, Any, str]]


class LeftOutOfOutput:
    """Collects the files of /output that are not uploaded, as the result names them."""

    def __init__(self) -> None:
        self.all: list[LeftOut] = []

    def __call__(self, name: str, size: int | None, why: str) -> None:
        path = f"/output/{name}".encode("utf-8", "backslashreplace").decode()
        self.all.append(LeftOut(name=path[:MAX_NAME_CHARACTERS], size=size, why=why))


def save_streams(
    stdout: CapturedOutput, stderr: CapturedOutput, work: WorkDir, leave_out: LeaveOut
) -> None:
    """Write both streams as files into the output; `leave_out` is called when the disk is full."""
    for name, captured in (("stdout.txt", stdout), ("stderr.txt", stderr)):
        file = replace_file(work.output, name)
        try:
            with file:
                file.writelines(captured.pieces())
        except OSError as exc:
            if exc.errno not in FULL:
                raise
            (work.output / name).unlink(missing_ok=True)
            leave_out(name, captured.total, "the disk is full")


async def send(
    upload: Upload | None,
    work: WorkDir,
    config: Config,
    *,
    seconds_left: Callable[[], float],
    leave_out: LeaveOut = lambda name, size, why: None,
) -> dict[str, str]:
    """Upload the output; returns each server's answer as JSON by file name.

    Raises `JobError` for the first upload that fails. Passing failures of a server are retried
    for as long as there are `seconds_left`.
    """
    if upload is None:
        return {}
    # Data sent over a reused connection that the server has closed seems sent, but never arrives.
    async with HttpClient(config.reach(), seconds_left, keeps_connections=False) as web:
        return await _run_all(_Sender(work, config, web, leave_out).parts(upload))


async def _run_all(parts: list[Sending]) -> dict[str, str]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [(name, group.create_task(sending)) for name, sending in parts]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from several
    return {name: task.result() for name, task in tasks}


class _Sender:
    """The uploads of one job."""

    def __init__(self, work: WorkDir, config: Config, web: HttpClient, leave_out: LeaveOut) -> None:
        self._leave_out = leave_out
        self._work = work
        self._limit = config.upload_max_bytes
        self._web = web
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._result_characters_left = MAX_RESULTS_BYTES

    def parts(self, upload: Upload) -> list[Sending]:
        """The uploads as coroutines, each with its key in the results."""
        match upload:
            case MultiUpload():
                listed = frozenset(one.relative_path for one in upload.uploads)
                files = [(one.relative_path, self._file(one)) for one in upload.uploads]
                rest = upload.system_output
                return files + ([(SYSTEM_OUTPUT, self._zip(rest, listed))] if rest else [])
            case FilePost() | FilePut():
                return [(upload.relative_path, self._file(upload))]
            case _:
                return [(ZIP_NAME, self._zip(upload, frozenset()))]

    async def _file(self, upload: FilePost | FilePut) -> str:
        path = upload.relative_path

        def opened() -> BinaryIO:
            with _readable(path):
                file = open_inside(self._work.output, path)
            if os.fstat(file.fileno()).st_size > self._limit:
                file.close()
                raise archives.bad_output(f"{path!r} is larger than {self._limit} bytes")
            return file

        return await self._send(upload, path.rsplit("/", 1)[-1], opened, upload.signed_headers)

    async def _zip(self, upload: ZipPost | ZipPut, without: frozenset[str]) -> str:
        with tempfile.TemporaryFile(dir=self._work.scratch) as made:
            with _readable("the output"):
                steps = archives.pack(
                    self._work.output,
                    made,
                    without=without,
                    limit=self._limit,
                    leave_out=self._leave_out,
                )
                for _ in steps:
                    await asyncio.sleep(0)

            def opened() -> BinaryIO:
                made.seek(0)
                return os.fdopen(os.dup(made.fileno()), "rb")

            return await self._send(upload, ZIP_NAME, opened, None)

    async def _send(
        self,
        upload: FilePost | FilePut | ZipPost | ZipPut,
        name: str,
        opened: Any,
        headers: dict[str, str] | None,
    ) -> str:
        is_form = isinstance(upload, FilePost | ZipPost)
        form = (upload.form_fields or {}) if isinstance(upload, FilePost | ZipPost) else None
        method = "POST" if is_form else "PUT"
        async with self._slots:
            try:
                answer = await self._web.send(
                    method, upload.url, UploadRequest(opened, name, form), headers=headers
                )
            except WebError as exc:
                raise _failed(f"{name!r}: {exc}") from exc
            except asyncio.CancelledError:
                if self._web.seconds_left() > 0:
                    raise
                # The stage's deadline ends this task; who reads the failure needs its details.
                situation = self._web.situation(upload.url)
                text = f"{TIMEOUT_TEXT[Stage.RESULT_UPLOAD]}: {name!r}: {situation}"
                raise JobError(FailureReason.TIMEOUT, text) from None
        return self._truncated(answer)

    def _truncated(self, answer: UploadAnswer) -> str:
        """An answer as JSON, truncated to the characters that earlier answers left.

        The file has arrived, so an answer that is too long is no failure.
        """
        # A character takes at most six when it is escaped.
        for body in (answer.body, answer.body[: self._result_characters_left // 8], ""):
            result = _as_text(answer._replace(body=body))
            if len(result) <= self._result_characters_left:
                self._result_characters_left -= len(result)
                return result
        return _as_text(UploadAnswer({}, ""))


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Turn `OSError` into `JobError`, the job's fault, unless the disk is full."""
    try:
        yield
    except OSError as exc:
        if exc.errno in FULL:
            raise
        reason = exc.strerror or str(exc)
        raise archives.bad_output(f"{what!r} cannot be read as a regular file ({reason})") from exc


def _as_text(answer: UploadAnswer) -> str:
    return json.dumps({"headers": answer.headers, "body": answer.body})


def _failed(detail: str) -> JobError:
    return JobError(FailureReason.UPLOAD_FAILED, f"Upload failed: {detail}")
