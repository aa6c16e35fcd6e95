"""A registry for tests, which serves correct or scripted answers."""

import gzip
import hashlib
import inspect
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(*files: tuple[str, bytes]) -> bytes:
    """A tar archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as root:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            root.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def zeros(size: int, name: str = "zeros") -> bytes:
    return layer((name, bytes(size)))


def quickly(data: bytes) -> bytes:
    return gzip.compress(data, 1)


def stored(data: bytes) -> bytes:
    return gzip.compress(data, 0)


class Registry:
    """Stores pushed images; `answers` override them by path."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.answers: dict[str, Callable[[web.Request], object]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._server: TestServer | None = None
        self._port = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return self._port

    async def stop(self) -> None:
        await self._server.close()

    def push(
        self, name: str, *layers: bytes, compress: Callable[[bytes], bytes] = quickly,
        config: dict | None = None, layer_extra: dict | None = None, **manifest: object,
    ) -> str:  # fmt: skip
        """Push an image of these layers as `repository:tag`; returns its full name."""
        described = [self._layer(compress(one)) | (layer_extra or {}) for one in layers]
        whole = {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Cmd": ["/program"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(one) for one in layers]},
        } | (config or {})
        made = self._blob(json.dumps(whole).encode())
        body = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG} | made,
            "layers": described,
        } | manifest
        return self.put(name, json.dumps(body).encode(), MANIFEST)

    def put(self, name: str, body: bytes, media_type: str) -> str:
        repository, _, tag = name.partition(":")
        for reference in (tag, digest_of(body)):
            self.manifests[f"/v2/{repository}/manifests/{reference}"] = (media_type, body)
        return f"{self.host}/{name}"

    def index(self, name: str, *platforms: tuple[str, str]) -> str:
        """Push a list of one manifest for several platforms; returns the image's name."""
        repository, _, tag = name.partition(":")
        _, body = self.manifests[f"/v2/{repository}/manifests/{tag}"]
        listed = [
            {
                "mediaType": MANIFEST,
                "digest": digest_of(body),
                "size": len(body),
                "platform": {"os": os, "architecture": processor},
            }
            for os, processor in platforms
        ]
        whole = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
        return self.put(name, json.dumps(whole).encode(), INDEX)

    def _layer(self, data: bytes) -> dict:
        return {"mediaType": LAYER} | self._blob(data)

    def _blob(self, data: bytes) -> dict:
        self.blobs[digest_of(data)] = data
        return {"digest": digest_of(data), "size": len(data)}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.headers.append(dict(request.headers))
        if scripted := self.answers.get(request.path):
            answer = scripted(request)
            if inspect.isawaitable(answer):
                answer = await answer
            if answer is not None:
                return answer
        if request.path in self.manifests:
            media_type, body = self.manifests[request.path]
            return web.Response(body=body, headers={"Content-Type": media_type})
        return self._of(request, request.path.rpartition("/")[2])

    def _of(self, request: web.Request, digest: str) -> web.Response:
        body = self.blobs.get(digest)
        if body is None:
            return web.json_response({"errors": [{"code": "UNKNOWN"}]}, status=404)
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        more = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        return web.Response(body=body[start:], status=206 if start else 200, headers=more)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Registry"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        async with TestServer(app, host="127.0.0.1") as self._server:
            self._port = self._server.port
            yield self
