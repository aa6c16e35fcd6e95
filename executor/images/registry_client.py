"""Anonymous client of an image registry (version 2 of the registry HTTP API).

Every connection goes through the checks of `executor.transfer.http_client`: redirects and token
URLs of a registry are checked like any URL of a job.
"""

import asyncio
import re
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from urllib.parse import quote, urljoin, urlsplit

from compute_horde.addresses import Reach
from compute_horde.concurrency.backoff import Backoff
from compute_horde.image_names import ImageName
from executor.images import errors, manifests
from executor.images.errors import ImageError, RegistryUnavailableError
from executor.images.manifests import Blob, ImageManifest, Platform
from executor.images.registries import ImageRegistry
from executor.transfer.http_client import HttpClient, Reply
from executor.transfer.http_errors import RetryableError, WebError
from executor.transfer.http_requests import FOLLOWED, HttpResponse, open_response
from executor.transfer.resumable_download import CONTENT_RANGE, DOWNLOAD_CHUNK_BYTES, PARTIAL

ACCEPTED = ", ".join((*manifests.INDEXES, *manifests.MANIFESTS))
MAX_TOKEN_BYTES = 64 * 2**10
MAX_REDIRECTS = 5
OK = 200
UNAUTHORIZED = 401
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 16.0
# How long a failing registry is retried; then another miner may get the job.
RETRY_SECONDS = 20.0

_CHALLENGE = re.compile(r'(\w+)="([^"\\]*)"')


def retry_seconds_left(seconds_left: Callable[[], float]) -> Callable[[], float]:
    """A function of the seconds left for retries: at most `RETRY_SECONDS` from now."""
    until = time.monotonic() + RETRY_SECONDS
    return lambda: min(until - time.monotonic(), seconds_left())


async def reach(registry: ImageRegistry, general: Reach) -> Reach:
    """The addresses that the fetch of an image may use.

    Those allowed for URLs of jobs, and the registry's own if the operator added it by name. Raises
    `RegistryUnavailableError` when its name cannot be resolved.
    """
    if not registry.may_be_private or general.allow_private:
        return general
    parts = urlsplit(registry.url)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise RegistryUnavailableError("its registry's name cannot be resolved") from exc
    return general.and_also(str(address[0]) for *_, address in found)


class RegistryClient:
    """Reads one repository."""

    def __init__(
        self,
        web: HttpClient,
        registry: ImageRegistry,
        repository: str,
        *,
        seconds_left: Callable[[], float],
    ) -> None:
        self._web = web
        self._seconds_left = seconds_left
        self._registry = registry
        self._repository = repository
        self._authorization: dict[str, str] = {}

    async def manifest(self, name: ImageName, platform: Platform) -> ImageManifest:
        """The manifest of an image; raises `ImageError` or `RegistryUnavailableError`."""
        body, media_type = await self._manifest(name.reference)
        if name.digest:
            manifests.check_digest(body, name.digest)
        if manifests.is_index(media_type):
            chosen = manifests.choose(body, platform)
            body, media_type = await self._manifest(chosen.digest)
            manifests.check_digest(body, chosen.digest)
        return manifests.read(body, media_type)

    async def config(self, manifest: ImageManifest) -> bytes:
        """The configuration of an image as JSON; raises as `manifest` does."""
        blob = manifest.config
        reply = await self._ask(f"blobs/{blob.digest}", blob.size, {})
        manifests.check_digest(reply.body, blob.digest)
        manifests.check_config(reply.body, manifest)
        return reply.body

    async def layer(self, blob: Blob) -> AsyncGenerator[bytes, None]:
        """The bytes of a layer in pieces; resumes where a connection broke off."""
        done, last_data_at = 0, time.monotonic()
        backoff = Backoff(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
        while done < blob.size:
            try:
                async with aclosing(self._layer_from(blob, done)) as pieces:
                    async for data in pieces:
                        done, last_data_at = done + len(data), time.monotonic()
                        backoff.reset()
                        yield data
            except RetryableError as exc:
                wait = max(backoff.take(), exc.retry_after or 0)
                waited = time.monotonic() - last_data_at
                if wait >= min(RETRY_SECONDS - waited, self._seconds_left()):
                    raise _unavailable(exc) from exc
                await asyncio.sleep(wait)
            except WebError as exc:
                raise _image_error(exc) from exc

    async def _layer_from(self, blob: Blob, start: int) -> AsyncGenerator[bytes, None]:
        url = self._url(f"blobs/{blob.digest}")
        headers = {"Accept-Encoding": "identity", **self._authorization}
        if start:
            headers["Range"] = f"bytes={start}-"
        async with open_response(self._web.session, url, headers) as response:
            answer = response.answer
            if answer.status == UNAUTHORIZED and self._authorization:
                # Tokens expire after some minutes.
                await self._authorize(answer.headers.get("WWW-Authenticate", ""))
                raise RetryableError("a new token is needed")
            surplus = _surplus(response, start)
            async for data in answer.content.iter_chunked(DOWNLOAD_CHUNK_BYTES):
                kept = data[surplus:]
                surplus = max(0, surplus - len(data))
                start += len(kept)
                if start > blob.size:
                    raise RegistryUnavailableError("its registry sent other bytes than asked for")
                if kept:
                    yield kept
        if start < blob.size:
            raise RetryableError("the registry sent too little")

    async def _manifest(self, reference: str) -> tuple[bytes, str]:
        reply = await self._ask(
            f"manifests/{quote(reference, safe=':')}",
            manifests.MAX_MANIFEST_BYTES,
            {"Accept": ACCEPTED},
        )
        kind = reply.headers.get("content-type", "")
        return reply.body, manifests.media_type_of(reply.body, kind)

    async def _ask(self, path: str, limit: int, headers: Mapping[str, str]) -> Reply:
        """The answer to a GET, after a token request if needed, and redirects."""
        url = self._url(path)
        reply = await self._follow(url, limit, headers)
        if reply.status == UNAUTHORIZED and not self._authorization:
            await self._authorize(reply.headers.get("www-authenticate", ""))
            reply = await self._follow(url, limit, headers)
        if reply.status != OK:
            raise errors.from_status(reply.status)
        return reply

    async def _follow(self, url: str, limit: int, headers: Mapping[str, str]) -> Reply:
        for _ in range(MAX_REDIRECTS + 1):
            reply = await self._get(url, limit, {**headers, **self._authorization_for(url)})
            if reply.status not in FOLLOWED:
                return reply
            url = urljoin(url, reply.headers.get("location", ""))
        raise ImageError("its registry redirects too many times")

    async def _authorize(self, challenge: str) -> None:
        """Get an anonymous token from the URL in the registry's challenge (RFC 6750)."""
        fields = dict(_CHALLENGE.findall(challenge[:4096]))
        realm = fields.get("realm", "")
        schemes = ("https://", "http://") if self._registry.is_plain else ("https://",)
        if not challenge.lower().startswith("bearer ") or not realm.startswith(schemes):
            raise errors.from_status(UNAUTHORIZED)
        scope = quote(f"repository:{self._repository}:pull", safe="")
        service = quote(fields.get("service", ""), safe="")
        joint = "&" if "?" in realm else "?"
        reply = await self._get(
            f"{realm}{joint}service={service}&scope={scope}", MAX_TOKEN_BYTES, {}
        )
        if reply.status != OK:
            raise errors.from_status(reply.status)
        self._authorization = {"Authorization": f"Bearer {manifests.token_of(reply.body)}"}

    async def _get(self, url: str, limit: int, headers: Mapping[str, str]) -> Reply:
        try:
            return await self._web.ask(url, limit=limit, headers=headers)
        except RetryableError as exc:
            raise _unavailable(exc) from exc
        except WebError as exc:
            raise _image_error(exc) from exc

    def _authorization_for(self, url: str) -> dict[str, str]:
        """The token, which is sent to the registry itself only."""
        return self._authorization if url.startswith(f"{self._registry.url}/") else {}

    def _url(self, path: str) -> str:
        return f"{self._registry.url}/v2/{self._repository}/{path}"


def _surplus(response: HttpResponse, start: int) -> int:
    """How many bytes at the beginning of an answer are already known."""
    answer = response.answer
    if answer.status == PARTIAL and start:
        sent = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if sent and int(sent[1]) == start:
            return 0
    elif answer.status == OK:
        return start
    raise response.refusal()


def _unavailable(error: WebError) -> RegistryUnavailableError:
    if error.status is not None:
        return RegistryUnavailableError(errors.from_status(error.status).problem)
    return RegistryUnavailableError(str(error))


def _image_error(error: WebError) -> ImageError:
    if error.status is not None:
        found = errors.from_status(error.status)
        return ImageError(found.problem)
    return ImageError(str(error))
