"""Provides a job's image: finds it on this machine, or fetches it from its registry."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from secrets import token_hex

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.errors import ConfigurationError
from compute_horde.image_names import ImageName, is_listed
from executor.config import Config, PullPolicy
from executor.images import engine_disk, errors, registries, registry_client
from executor.images.engine_disk import EngineDisk
from executor.images.engine_images import EngineImages
from executor.images.errors import ImageError, RegistryUnavailableError
from executor.images.image_cache import FETCHED, ImageCache
from executor.images.manifests import ImageManifest
from executor.images.pull_server import PullServer
from executor.images.registries import ImageRegistry
from executor.images.registry_client import RegistryClient
from executor.images.unpacked_size import ImageQuota
from executor.progress import ProgressCallback, ignore_progress
from executor.sandbox import resource_limits
from executor.sandbox.engine import Engine, Image, tagged
from executor.transfer.http_client import HttpClient

log = logging.getLogger(__name__)


async def obtain(
    name: str,
    engine: Engine,
    config: Config,
    kept: ExitStack,
    *,
    report: ProgressCallback = ignore_progress,
    seconds: float = math.inf,
) -> Image:
    """Find or fetch the image of this name; it is not removed before `kept` is closed.

    A failing registry is retried for at most `seconds`. Raises `JobError` when the user is at
    fault that there is no image, `HordeError` when the registry or this machine is.
    """
    if is_listed(name, config.local_images):
        found = await engine.image(tagged(name))
        if found is not None:
            return found
    try:
        return await _Search(name, engine, config, seconds).image(kept, report)
    except (ImageError, RegistryUnavailableError) as exc:
        raise errors.with_image_name(exc, name) from exc


async def obtain_own(name: str, engine: Engine, config: Config, kept: ExitStack) -> Image:
    """Find or fetch an image that the operator configured, of this machine or of any registry."""
    try:
        registry = ImageName.parse(name).registry
    except ValueError as exc:
        raise ConfigurationError(f"{name!r} is no image: {exc}") from exc
    allowed = {"local_images": (name,), "registries": (*config.registries, registry)}
    return await obtain(name, engine, config.model_copy(update=allowed), kept)


class _Search:
    """The search for one image."""

    def __init__(self, text: str, engine: Engine, config: Config, seconds: float) -> None:
        self._text = text
        try:
            self._name = ImageName.parse(text)
        except ValueError as exc:
            raise ImageError(str(exc)) from exc
        # Checked first: an image of a registry that is not allowed is not even looked for.
        self._registry: ImageRegistry = registries.find(self._name.registry, config.registries)
        self._engine = engine
        self._images = EngineImages(engine)
        self._config = config
        self._cache = ImageCache(config.work_dir, config.owner)
        self._cache_name = self._cache.name_of(self._name)
        self._until = time.monotonic() + seconds

    async def image(self, kept: ExitStack, report: ProgressCallback) -> Image:
        hold = await self._cache.hold(self._cache_name)
        try:
            image = await self._find_or_fetch(report)
        except BaseException:
            hold.close(forget=True)
            raise
        kept.callback(hold.close)
        return image

    async def _find_or_fetch(self, report: ProgressCallback) -> Image:
        policy = self._config.effective_pull_policy()
        found = await self._find()
        # The image of a digest never changes.
        if found is not None and (policy is not PullPolicy.ALWAYS or self._name.digest):
            return found
        if policy is PullPolicy.NEVER:
            raise ImageError("it is not on this machine, which fetches none")
        async with self._cache.fetching(self._cache_name):
            if policy is not PullPolicy.ALWAYS and (found := await self._find()):
                return found
            return await self._fetch(found, report)

    async def _find(self) -> Image | None:
        """The image as fetched for an earlier job, else as the operator pulled it, if public."""
        if found := await self._engine.image(self._cache_name):
            return found
        found = await self._engine.image(tagged(self._text))
        digest = _digest_of(found, self._name) if found else ""
        return found if found and digest and await self._is_public(found, digest) else None

    async def _is_public(self, found: Image, digest: str) -> bool:
        """Whether an image that the operator pulled, maybe with a password, is public.

        The registry is asked once; the positive answer is cached.
        """
        if self._cache.is_public(self._name, found.id):
            return True
        try:
            async with self._client() as client:
                wanted = replace(self._name, digest=digest)
                manifest = await client.manifest(wanted, await self._images.platform())
        except ImageError as exc:
            log.warning(
                "an image of this machine is not public: list it in EXECUTOR_LOCAL_IMAGES to let "
                "jobs use it",
                extra={"image": self._text, "problem": exc.problem},
            )
            return False
        if not _is_same(found, manifest):
            return False
        self._cache.mark_public(self._name, found.id)
        return True

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[RegistryClient]:
        reach = await registry_client.reach(self._registry, self._config.reach())
        async with HttpClient(reach, registry_client.retry_seconds_left(self._seconds_left)) as web:
            yield RegistryClient(
                web, self._registry, self._name.repository, seconds_left=self._seconds_left
            )

    async def _fetch(self, found: Image | None, report: ProgressCallback) -> Image:
        """Get the image's manifest from the registry and let the engine pull what is missing."""
        async with self._client() as client:
            manifest = await client.manifest(self._name, await self._images.platform())
            if found and _is_same(found, manifest):
                return found
            if again := await self._reuse_other_name(manifest):
                return again
            limit = resource_limits.image_bytes(self._config)
            if manifest.size > limit:
                raise ImageError(f"it is larger than {limit} bytes")
            await self._pull(client, manifest, ImageQuota(limit), report)
        image = await self._engine.image(self._cache_name)
        if image is None:
            raise RegistryUnavailableError("it was removed again at once")
        log.info("image fetched", extra={"image": self._text, "digest": manifest.digest})
        return image

    def _seconds_left(self) -> float:
        return self._until - time.monotonic()

    async def _reuse_other_name(self, manifest: ImageManifest) -> Image | None:
        """The same image, if it was fetched for jobs under another name.

        Never an image of the operator's: knowing its digest is no proof of access to it.
        """
        for known in (manifest.config.digest, manifest.digest):
            found = await self._engine.image(known)
            if found and any(one.startswith(f"{FETCHED}/") for one in found.names):
                await self._images.tag(found.id, self._cache_name)
                return found
        return None

    async def _pull(
        self,
        client: RegistryClient,
        manifest: ImageManifest,
        quota: ImageQuota,
        report: ProgressCallback,
    ) -> None:
        config = self._config
        root = engine_disk.visible_folder(await self._images.root(), config.work_dir)
        disk = EngineDisk(
            root,
            self._images,
            self._cache,
            reserve=config.disk_reserve_bytes,
            percent=config.images_disk_percent,
        )
        await disk.make_room(manifest.size)
        server = PullServer(
            client,
            manifest,
            await client.config(manifest),
            repository=self._cache.repository_for(self._cache_name, token_hex(16)),
            quota=quota,
        )
        async with server.serving():
            await self._pull_from(server, disk, report)
        image = await self._engine.image(server.image)
        if image is not None:
            await self._images.tag(image.id, self._cache_name)
            await self._images.remove(server.image)
        await disk.remove_unused()

    async def _pull_from(
        self, server: PullServer, disk: EngineDisk, report: ProgressCallback
    ) -> None:
        """Pull until the engine has the whole image; raises when a layer or the disk forbids it."""

        def count(done_bytes: int, total_bytes: int) -> None:
            report(f"image {self._text}", done_bytes, total_bytes)

        async with TaskSet() as tasks:
            pulling = tasks.spawn(self._images.pull(server.image, count))
            watching = tasks.spawn(disk.watch())
            waiting = (server.failed, watching, pulling)
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            first = next(one for one in waiting if one.done())
        first.result()


def _digest_of(found: Image, name: ImageName) -> str:
    """The digest under which the engine pulled the image from this registry; empty without one.

    Some engines also give a digest to images that they built: it then equals the image's id.
    """
    for one in found.digests:
        repository, _, digest = one.partition("@")
        if repository == name.familiar and digest != found.id:
            return digest if name.digest in {"", digest} else ""
    return ""


def _is_same(found: Image, manifest: ImageManifest) -> bool:
    return found.id in {manifest.config.digest, manifest.digest}
