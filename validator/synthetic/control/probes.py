"""Probes of what a batch depends on: each returns a problem, or an empty text.

They are light: headers of a response are read and not its body, and an image's manifest is asked
for but not fetched, which registries do not count as a pull.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from compute_horde.addresses import is_public
from compute_horde.image_names import DOCKER_HUB, ImageName
from validator.synthetic.control import lookups
from validator.synthetic.control.faults import Target

PROBE_SECONDS = 3.0
HUB_HOST = "registry-1.docker.io"
MANIFESTS = ", ".join(
    f"application/vnd.{name}+json"
    for name in (
        "oci.image.index.v1",
        "docker.distribution.manifest.list.v2",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
    )
)
MAX_TOKEN_BYTES = 64 * 1024
# In the kernel's tables of routes: it is up.
ROUTE_UP = 1

Ask = Callable[[httpx.AsyncClient], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Probe:
    """How a target is probed: `ask` returns a problem, or an empty text, and may raise errors."""

    target: Target
    ask: Ask


def http_client() -> httpx.AsyncClient:
    """The client of all probes of a batch; making one takes some 20 ms, before any clock runs."""
    return httpx.AsyncClient(
        timeout=PROBE_SECONDS, follow_redirects=False, transport=lookups.transport()
    )


async def problem_of(probe: Probe, client: httpx.AsyncClient) -> str:
    """The result of one probe within `PROBE_SECONDS`: its problem, or an empty text."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await probe.ask(client)
    except TimeoutError:
        return f"no answer in {PROBE_SECONDS:g} s"
    except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as exc:
        return f"{type(exc).__name__}: {' '.join(str(exc).split())}"[:100]


def reaches(host: str, port: int) -> Ask:
    """Whether an address takes connections."""

    async def ask(client: httpx.AsyncClient) -> str:
        del client
        problem = OSError(f"{host} has no address")
        for address in await lookups.addresses(host, port):
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError as exc:
                problem = exc
                continue
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            return ""
        raise problem

    return ask


def has_image(image: ImageName) -> Ask:
    """Whether the registry answers and has the image, as far as anybody may see it."""

    async def ask(client: httpx.AsyncClient) -> str:
        *others, last = _origins(image.registry)
        for origin in others:
            with suppress(httpx.TransportError):
                return await _image_problem(client, origin, image)
        return await _image_problem(client, last, image)

    return ask


def serves_input(url: str) -> Ask:
    """Whether an input can be fetched: its first byte is asked for."""

    async def ask(client: httpx.AsyncClient) -> str:
        status = await _status(client, "GET", url, {"Range": "bytes=0-0"})
        is_there = status < 400 or status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
        return "" if is_there else f"the server answered HTTP {status}"

    return ask


def takes_uploads(url: str) -> Ask:
    """Whether the server of an upload answers; nothing is uploaded."""

    async def ask(client: httpx.AsyncClient) -> str:
        parts = httpx.URL(url)
        origin = parts.copy_with(raw_path=b"/", fragment=None)
        status = await _status(client, "GET", str(origin), {})
        return f"the server answered HTTP {status}" if status >= 500 else ""

    return ask


def has_default_route(tables: Path = Path("/proc/net")) -> bool | None:
    """Whether this machine has a default route; None where the kernel does not tell."""
    try:
        table = (tables / "route").read_text()
    except OSError:
        return None
    rows = [line.split() for line in table.splitlines()[1:]]
    if any(row[1] == "00000000" == row[7] and int(row[3], 16) & ROUTE_UP for row in rows):
        return True
    with suppress(OSError):
        newer = [line.split() for line in (tables / "ipv6_route").read_text().splitlines()]
        return any(row[0] == "0" * 32 and row[1] == "00" and row[9] != "lo" for row in newer)
    return False


def is_outside(host: str) -> bool:
    """Whether a host lies beyond the validator's own network: all but private addresses."""
    with suppress(ValueError):
        return is_public(host.strip("[]"))
    return host not in {"", "localhost"}


def _origins(registry: str) -> list[str]:
    """Where a registry is: in private networks it may be without TLS."""
    if registry == DOCKER_HUB:
        return [f"https://{HUB_HOST}"]
    return [f"https://{registry}", f"http://{registry}"]


async def _image_problem(client: httpx.AsyncClient, origin: str, image: ImageName) -> str:
    url = f"{origin}/v2/{image.repository}/manifests/{image.reference}"
    headers = {"Accept": MANIFESTS}
    async with client.stream("HEAD", url, headers=headers) as response:
        status, wanted = response.status_code, response.headers.get("WWW-Authenticate", "")
    if status == httpx.codes.UNAUTHORIZED and (token := await _token(client, wanted, image)):
        status = await _status(client, "HEAD", url, {**headers, "Authorization": f"Bearer {token}"})
    if status == httpx.codes.NOT_FOUND:
        return "it does not have the image"
    return f"the registry answered HTTP {status}" if status >= 500 else ""


async def _token(client: httpx.AsyncClient, wanted: str, image: ImageName) -> str:
    """The token that registries give to anybody for a public image; empty without one."""
    given = dict(re.findall(r'(\w+)="([^"]*)"', wanted))
    if not given.get("realm", "").startswith(("https://", "http://")):
        return ""
    query = {"scope": f"repository:{image.repository}:pull"}
    if "service" in given:
        query["service"] = given["service"]
    body = b""
    headers = {"Accept-Encoding": "identity"}
    async with client.stream("GET", given["realm"], params=query, headers=headers) as response:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > MAX_TOKEN_BYTES:
                return ""
    if response.status_code >= 500:
        raise ValueError(f"its login answered HTTP {response.status_code}")
    answer: Any = json.loads(body) if response.status_code == httpx.codes.OK else {}
    token = answer.get("token") or answer.get("access_token") if isinstance(answer, dict) else ""
    return token if isinstance(token, str) else ""


async def _status(client: httpx.AsyncClient, method: str, url: str, headers: dict[str, str]) -> int:
    async with client.stream(method, url, headers=headers) as response:
        return response.status_code
