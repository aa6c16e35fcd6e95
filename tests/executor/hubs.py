"""A small server that speaks the Hugging Face hub's API, with its large files on another host."""

import asyncio
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web
from aiohttp.test_utils import TestServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGE = 3
API = re.compile(r"/api/(model|dataset|space)s/([^/]+/[^/]+?)(/revision/|/tree/|$)(.*)")
RESOLVE = re.compile(r"/(?:(dataset|space)s/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class Repo:
    """One repository of the hub; `extra` entries are added to its tree unchanged."""

    files: dict[str, bytes] = field(default_factory=dict)
    lfs: frozenset[str] = frozenset()
    token: str | None = None
    gated: bool = False
    extra: list[Any] = field(default_factory=list)
    sizes: dict[str, Any] = field(default_factory=dict)

    def tree(self) -> list[Any]:
        folders = {path.rsplit("/", 1)[0] for path in self.files if "/" in path}
        entries = [{"type": "directory", "path": path, "oid": "0" * 40} for path in folders]
        for path, data in self.files.items():
            size = self.sizes.get(path, len(data))
            entry = {"type": "file", "path": path, "size": size, "oid": "0" * 40}
            if path in self.lfs:
                digest = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": digest, "size": size, "pointerSize": 134}
            entries.append(entry)
        return entries + self.extra


class HubSite:
    """A hub with `repos` by type and id, such as `model org/name`; `asked` records the requests."""

    def __init__(self, port: int | None = None) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.trouble: dict[str, dict[str, Any]] = {}
        self.stalled = asyncio.Event()
        self.cdn_host = "localhost"
        self._closing = asyncio.Event()
        self._hub = TestServer(self._app(self._on_hub), host="127.0.0.1", port=port)
        self._cdn = TestServer(self._app(self._on_cdn), host="127.0.0.1")

    def _app(self, handler: Any) -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        return app

    async def __aenter__(self) -> "HubSite":
        await self._hub.start_server()
        await self._cdn.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._hub.close()
        await self._cdn.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._hub.port}"

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]

    def _note(self, where: str, request: web.Request) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((where, request.path_qs, headers))

    async def _on_hub(self, request: web.Request) -> web.StreamResponse:
        self._note("hub", request)
        if request.path in self.trouble:
            return web.Response(**self.trouble[request.path])
        if request.path == "/api/models/org/stalled":
            self.stalled.set()
            await self._closing.wait()
        if found := API.fullmatch(request.path):
            return self._about(request, *found.groups())
        if found := RESOLVE.fullmatch(request.path):
            return self._resolved(request, *found.groups())
        if request.path.startswith("/cache/"):
            return self._file(request)
        return web.Response(status=404)

    def _refused(self, repo: Repo | None, request: web.Request) -> web.Response | None:
        if repo is None:
            return web.Response(status=404, headers={"X-Error-Code": "RepoNotFound"})
        if repo.token and request.headers.get("Authorization") != f"Bearer {repo.token}":
            return web.Response(status=401, headers={"X-Error-Code": "RepoNotFound"})
        return None

    def _about(
        self, request: web.Request, kind: str, name: str, what: str, rest: str
    ) -> web.Response:
        repo = self.repos.get(f"{kind} {name}")
        if refused := self._refused(repo, request):
            return refused
        if what == "/tree/":
            return self._page(repo, request)
        if what and unquote(rest) not in {"main", "v1/x", COMMIT}:
            return web.Response(status=404, headers={"X-Error-Code": "RevisionNotFound"})
        return web.json_response({"id": name, "sha": COMMIT, "siblings": []})

    def _page(self, repo: Repo, request: web.Request) -> web.Response:
        first = int(request.query.get("cursor", 0))
        tree = repo.tree()
        headers = {}
        if first + PAGE < len(tree):
            following = request.url.update_query(cursor=first + PAGE)
            headers["Link"] = f'<{following}>; rel="next"'
        return web.json_response(tree[first : first + PAGE], headers=headers)

    def _resolved(
        self, request: web.Request, kind: str | None, name: str, commit: str, path: str
    ) -> web.Response:
        repo = self.repos.get(f"{kind or 'model'} {name}")
        if refused := self._refused(repo, request):
            return refused
        if repo.gated:
            return web.Response(status=403, headers={"X-Error-Code": "GatedRepo"})
        assert commit == COMMIT, "files are asked for by commit"
        place = quote(f"cache/{kind or 'model'} {name}/{path}")
        headers = {"X-Repo-Commit": COMMIT, "ETag": '"etag"', "Location": f"/{place}"}
        if path in repo.lfs:
            size = str(len(repo.files[path]))
            headers |= {"X-Linked-Size": size, "X-Linked-ETag": '"linked"'}
            headers["Location"] = f"http://{self.cdn_host}:{self._cdn.port}/{place}"
            return web.Response(status=302, headers=headers)
        return web.Response(status=307, headers=headers)

    async def _on_cdn(self, request: web.Request) -> web.StreamResponse:
        self._note("cdn", request)
        return self._file(request)

    def _file(self, request: web.Request) -> web.Response:
        kind, name, path = re.fullmatch(r"/cache/(\w+) ([^/]+/[^/]+)/(.+)", request.path).groups()
        return web.Response(body=self.repos[f"{kind} {name}"].files[path], headers={"ETag": '"1"'})
