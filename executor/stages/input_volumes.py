"""Downloads the job's volumes and puts them below /volume."""

import asyncio
import base64
import errno
import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from compute_horde.errors import JobError
from compute_horde.failure_messages import TIMEOUT_TEXT
from compute_horde.faults import JobCause
from compute_horde.vocabulary import FailureReason, Stage
from compute_horde.volumes import (
    HuggingfaceVolume,
    InlineVolume,
    SimpleVolume,
    SingleFileVolume,
    Volume,
    ZipUrlVolume,
    path_problem,
    simple_volumes,
)
from executor.config import Config
from executor.progress import ProgressCallback, ThrottledProgress, ignore_progress
from executor.sandbox import resource_limits
from executor.sandbox.workdir import WorkDir
from executor.transfer import archives
from executor.transfer.archives import BadArchiveError, UnpackQuota
from executor.transfer.http_client import HttpClient
from executor.transfer.http_errors import WebError
from executor.transfer.huggingface import snapshot
from executor.transfer.huggingface.repository import Repository
from executor.transfer.resumable_download import Count


async def fetch(
    volume: Volume | None,
    work: WorkDir,
    config: Config,
    report: ProgressCallback = ignore_progress,
    *,
    seconds_left: Callable[[], float],
) -> None:
    """Put all files of `volume` into the work directory.

    Raises `JobError`, which names the volume, when one cannot be fetched. Passing failures of a
    server are retried for as long as there are `seconds_left`.
    """
    volumes = simple_volumes(volume)
    if not volumes:
        return
    quota = UnpackQuota(resource_limits.input_bytes(config))
    throttled = ThrottledProgress(report)
    async with HttpClient(config.reach(), seconds_left) as web:
        for number, one in enumerate(volumes, start=1):
            name = f"volume {number} ({one.volume_type})"
            progress = partial(throttled, f"{name} of {len(volumes)}")
            try:
                await _Fetch(work, config, web, quota, progress).fetch(one)
            except WebError as exc:
                raise _failed(f"{name} {exc}") from exc
            except asyncio.CancelledError:
                if seconds_left() > 0:
                    raise
                # The stage's deadline ends this task; who reads the failure needs its details.
                text = f"{TIMEOUT_TEXT[Stage.VOLUME_DOWNLOAD]}: {name} {web.situation()}".rstrip()
                raise JobError(FailureReason.TIMEOUT, text) from None
            except BadArchiveError as exc:
                raise _failed(f"{name} {exc}", JobCause.BAD_INPUT) from exc


class _Fetch:
    """Downloads the volumes of one job."""

    def __init__(
        self, work: WorkDir, config: Config, web: HttpClient, quota: UnpackQuota, progress: Count
    ) -> None:
        self._work = work
        self._config = config
        self._web = web
        self._quota = quota
        self._progress = progress

    async def fetch(self, volume: SimpleVolume) -> None:
        if bad := path_problem(volume.relative_path):
            raise BadArchiveError(f"has the path {bad.path[:200]!r}, which {bad.reason}")
        target = self._work.volume / (volume.relative_path or "")
        try:
            await self._place(volume, target)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
            raise BadArchiveError("needs a path that is both a file and a folder") from exc
        except OSError as exc:
            if exc.errno != errno.ENAMETOOLONG:
                raise
            raise BadArchiveError("needs a path that is too long") from exc

    async def _place(self, volume: SimpleVolume, target: Path) -> None:
        match volume:
            case InlineVolume():
                await self._unpack(_decoded(volume), target)
            case ZipUrlVolume():
                with tempfile.TemporaryFile(dir=self._work.scratch) as archive:
                    await self._web.fetch(
                        volume.contents, archive, limit=self._limit(), count=self._progress
                    )
                    await self._unpack(archive, target)
            case SingleFileVolume():
                self._quota.take_entry()
                archives.make_folder(self._work.volume, target.parent, self._quota)
                with archives.create_for_job(target) as copy:
                    await self._web.fetch(
                        volume.url, copy, limit=self._limit(), count=self._progress
                    )
                    self._quota.take(copy.tell())
            case HuggingfaceVolume():
                hub = Repository(volume, self._config, self._web)
                place = snapshot.SnapshotTarget(self._work.volume, target, self._quota)
                await snapshot.fetch(hub, place, self._progress)

    async def _unpack(self, archive: IO[bytes], target: Path) -> None:
        archives.make_folder(self._work.volume, target, self._quota)
        before = self._quota.left
        for _ in archives.unpack(archive, target, self._quota):
            self._progress(before - self._quota.left, None)
            # Let other tasks, and the deadline, run between the steps.
            await asyncio.sleep(0)

    def _limit(self) -> int:
        return min(self._config.volume_max_bytes, self._quota.left)


def _decoded(volume: InlineVolume) -> io.BytesIO:
    try:
        return io.BytesIO(base64.b64decode(volume.contents))
    except ValueError as exc:
        raise BadArchiveError("is not base64") from exc


def _failed(detail: str, cause: JobCause | None = None) -> JobError:
    context = cause.context if cause else None
    return JobError(FailureReason.DOWNLOAD_FAILED, f"Download failed: {detail}", context=context)
