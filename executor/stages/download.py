"""Second stage: the job's inputs are put in place."""

import asyncio
import base64
import errno
import io
import tempfile
from functools import partial
from pathlib import Path
from typing import IO

from compute_horde.errors import JobError
from compute_horde.vocabulary import FailureReason
from compute_horde.volumes import (
    HuggingfaceVolume,
    InlineVolume,
    SimpleVolume,
    SingleFileVolume,
    Volume,
    ZipUrlVolume,
    each,
    taint,
)
from executor import archives, limits
from executor.archives import Allowance, BadArchiveError
from executor.config import Config
from executor.hub import Hub
from executor.pace import Paced
from executor.progress import Tell, silent
from executor.refusals import WebError
from executor.resuming import Count
from executor.stages import snapshot
from executor.web import Web
from executor.workdir import WorkDir


async def fetch(volume: Volume | None, work: WorkDir, config: Config, tell: Tell = silent) -> None:
    """Every input below /volume; `JobError` names the one that could not be had."""
    volumes = each(volume)
    if not volumes:
        return
    allowance = Allowance(limits.inputs_of(config))
    paced = Paced(tell)
    async with Web(config.reach()) as web:
        for number, one in enumerate(volumes, start=1):
            name = f"volume {number} ({one.volume_type})"
            told = partial(paced, f"{name} of {len(volumes)}")
            try:
                await _Fetch(work, config, web, allowance, told).fetch(one)
            except (WebError, BadArchiveError) as exc:
                raise _failed(f"{name} {exc}") from exc


class _Fetch:
    """One volume on its way."""

    def __init__(
        self, work: WorkDir, config: Config, web: Web, allowance: Allowance, told: Count
    ) -> None:
        self._work = work
        self._config = config
        self._web = web
        self._allowance = allowance
        self._told = told

    async def fetch(self, volume: SimpleVolume) -> None:
        if bad := taint(volume.relative_path):
            raise BadArchiveError(f"has the path {bad.path[:200]!r}, which {bad.reason}")
        target = self._work.volume / (volume.relative_path or "")
        try:
            await self._placed(volume, target)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
            raise BadArchiveError("needs a path that is both a file and a folder") from exc
        except OSError as exc:
            if exc.errno != errno.ENAMETOOLONG:
                raise
            raise BadArchiveError("needs a path that is too long") from exc

    async def _placed(self, volume: SimpleVolume, target: Path) -> None:
        match volume:
            case InlineVolume():
                await self._unpacked(_decoded(volume), target)
            case ZipUrlVolume():
                with tempfile.TemporaryFile(dir=self._work.scratch) as archive:
                    await self._web.fetch(
                        volume.contents, archive, limit=self._limit(), count=self._told
                    )
                    await self._unpacked(archive, target)
            case SingleFileVolume():
                self._allowance.take_entry()
                archives.make_folder(self._work.volume, target.parent, self._allowance)
                with archives.opened_for_job(target) as copy:
                    await self._web.fetch(volume.url, copy, limit=self._limit(), count=self._told)
                    self._allowance.take(copy.tell())
            case HuggingfaceVolume():
                hub = Hub(volume, self._config, self._web)
                place = snapshot.Place(self._work.volume, target, self._allowance)
                await snapshot.fetch(hub, place, self._told)

    async def _unpacked(self, archive: IO[bytes], target: Path) -> None:
        archives.make_folder(self._work.volume, target, self._allowance)
        before = self._allowance.left
        for _ in archives.unpack(archive, target, self._allowance):
            self._told(before - self._allowance.left, None)
            # The line and the deadline have their turn between the steps.
            await asyncio.sleep(0)

    def _limit(self) -> int:
        return min(self._config.volume_max_bytes, self._allowance.left)


def _decoded(volume: InlineVolume) -> io.BytesIO:
    try:
        return io.BytesIO(base64.b64decode(volume.contents))
    except ValueError as exc:
        raise BadArchiveError("is not base64") from exc


def _failed(detail: str) -> JobError:
    return JobError(FailureReason.DOWNLOAD_FAILED, f"Download failed: {detail}")
