"""Fourth stage: what the job made is sent where it asked."""

import asyncio
import json
import os
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from compute_horde.errors import JobError
from compute_horde.uploads import FilePost, FilePut, MultiUpload, Upload, ZipPost, ZipPut
from compute_horde.vocabulary import FailureReason
from executor import archives
from executor.config import Config
from executor.refusals import WebError
from executor.transcript import Transcript
from executor.web import Answer, Parcel, Web
from executor.workdir import FULL, WorkDir, open_inside, replace

ZIP_NAME = "output.zip"
SYSTEM_OUTPUT = "system_output"
AT_ONCE = 8
# Answers travel in one frame with the artifacts and the logs.
MAX_RESULTS_BYTES = 4 * 2**20

Sending = tuple[str, Coroutine[Any, Any, str]]


def keep_printed(stdout: Transcript, stderr: Transcript, work: WorkDir) -> None:
    """The full text of both streams as files of the output."""
    for name, transcript in (("stdout.txt", stdout), ("stderr.txt", stderr)):
        with replace(work.output, name) as file:
            file.writelines(transcript.pieces())


async def send(upload: Upload | None, work: WorkDir, config: Config) -> dict[str, str]:
    """Every server's answer by file name; `JobError` for the first upload that failed."""
    if upload is None:
        return {}
    async with Web(config.reach()) as web:
        return await _together(_Sender(work, config, web).parts(upload))


async def _together(parts: list[Sending]) -> dict[str, str]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [(name, group.create_task(sending)) for name, sending in parts]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from several
    return {name: task.result() for name, task in tasks}


class _Sender:
    """The uploads of one job."""

    def __init__(self, work: WorkDir, config: Config, web: Web) -> None:
        self._work = work
        self._limit = config.upload_max_bytes
        self._web = web
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._room = MAX_RESULTS_BYTES

    def parts(self, upload: Upload) -> list[Sending]:
        """What is to be sent, each with its key in the results."""
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
                raise _failed(f"{path!r} is larger than {self._limit} bytes")
            return file

        return await self._sent(upload, path.rsplit("/", 1)[-1], opened, upload.signed_headers)

    async def _zip(self, upload: ZipPost | ZipPut, without: frozenset[str]) -> str:
        with tempfile.TemporaryFile(dir=self._work.scratch) as made:
            with _readable("the output"):
                steps = archives.pack(self._work.output, made, without=without, limit=self._limit)
                for _ in steps:
                    await asyncio.sleep(0)

            def opened() -> BinaryIO:
                made.seek(0)
                return os.fdopen(os.dup(made.fileno()), "rb")

            return await self._sent(upload, ZIP_NAME, opened, None)

    async def _sent(
        self,
        upload: FilePost | FilePut | ZipPost | ZipPut,
        name: str,
        opened: Any,
        headers: dict[str, str] | None,
    ) -> str:
        is_form = isinstance(upload, FilePost | ZipPost)
        form = (upload.form_fields or {}) if isinstance(upload, FilePost | ZipPost) else None
        method = "POST" if is_form else "PUT"
        async with self._turns:
            try:
                answer = await self._web.send(
                    method, upload.url, Parcel(opened, name, form), headers=headers
                )
            except WebError as exc:
                raise _failed(f"{name!r}: {exc}") from exc
        return self._kept(_as_text(answer))

    def _kept(self, result: str) -> str:
        """An answer that still has room beside the others; counted as each comes."""
        self._room -= len(result)
        if self._room < 0:
            raise _failed(f"the servers' answers are longer than {MAX_RESULTS_BYTES} bytes")
        return result


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """A file that is missing or is no plain file is the job's fault; a full disk is not."""
    try:
        yield
    except OSError as exc:
        if exc.errno in FULL:
            raise
        reason = exc.strerror or str(exc)
        raise _failed(f"{what!r} cannot be read as a regular file ({reason})") from exc


def _as_text(answer: Answer) -> str:
    return json.dumps({"headers": answer.headers, "body": answer.body})


def _failed(detail: str) -> JobError:
    return JobError(FailureReason.UPLOAD_FAILED, f"Upload failed: {detail}")
