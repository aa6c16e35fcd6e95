"""Registries are untrusted: redirects, answers, and who is at fault."""

import asyncio
import json

import pytest
from aiohttp import web

from compute_horde import faults
from compute_horde.addresses import Reach
from compute_horde.errors import HordeError, JobError
from compute_horde.faults import Culprit
from compute_horde.image_names import ImageName
from compute_horde.vocabulary import Party, Stage
from executor.images import registries, registry_client
from executor.images.errors import ImageError, RegistryUnavailableError
from executor.images.manifests import Platform
from executor.images.registry_client import RegistryClient
from executor.transfer.http_client import HttpClient
from tests.executor.images.registry import digest_of, zeros

LINUX = Platform("linux", "amd64")
SECRET = "internal-banner-of-ours"
MANIFEST_PATH = "/v2/some/image/manifests/1"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(registry_client, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(registry_client, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr("executor.transfer.retries.FIRST_WAIT_SECONDS", 0.001)


async def to(found):
    """An HTTP client for a registry, with the limits of URLs of jobs."""
    reach = await registry_client.reach(found, Reach())
    return HttpClient(reach, registry_client.retry_seconds_left(lambda: 60))


@pytest.fixture
async def read(registry):
    """Reads a whole image from the test's registry, with the operator's settings."""

    async def whole(name):
        parsed = ImageName.parse(name)
        found = registries.find(parsed.registry, [registry.host])
        async with HttpClient(
            await registry_client.reach(found, Reach()),
            registry_client.retry_seconds_left(lambda: 60),
        ) as outside:
            client = RegistryClient(outside, found, parsed.repository, seconds_left=lambda: 60)
            manifest = await client.manifest(parsed, LINUX)
            await client.config(manifest)
            return [
                b"".join([piece async for piece in client.layer(one)]) for one in manifest.layers
            ]

    return whole


@pytest.fixture
async def trap():
    """A service in the operator's network at another address; yields whether it was contacted."""
    asked = []

    async def accept(reader, writer):
        asked.append(await reader.read(100))
        writer.write(f"HTTP/1.1 200 OK\r\nServer: {SECRET}\r\n\r\n{SECRET}".encode())
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.2", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"127.0.0.2:{port}", asked


def blamed(error):
    """Who is at fault when a miner reports this error."""
    if isinstance(error, JobError):
        return faults.of_failure(error.reason, Stage.EXECUTOR_STARTUP).blamed
    return faults.of_horde(error.reason, Party.MINER, error.context).blamed


async def test_all_parts_are_read(read, registry):
    name = registry.push("some/image:1", zeros(1000), zeros(2000))
    assert [digest_of(one) in registry.blobs for one in await read(name)] == [True, True]


@pytest.mark.parametrize("part", ["manifest", "config", "layer", "login"])
@pytest.mark.parametrize("address", ["trap", "169.254.169.254", "[::1]", "10.0.0.1", "localhost."])
async def test_nowhere_private_that_a_registry_leads_to_is_asked(
    read, registry, trap, part, address
):
    where, asked = trap
    target = f"http://{where if address == 'trap' else address + ':' + where[-5:]}/x"
    name = registry.push("some/image:1", zeros(1000))
    config, layer = sorted(registry.blobs, key=lambda one: registry.blobs[one][:1] != b"{")
    challenge = {"WWW-Authenticate": f'Bearer realm="{target}",service="x"'}
    answers = {
        "manifest": (MANIFEST_PATH, 307, {"Location": target}),
        "config": (f"/v2/some/image/blobs/{config}", 307, {"Location": target}),
        "layer": (f"/v2/some/image/blobs/{layer}", 302, {"Location": target}),
        "login": (MANIFEST_PATH, 401, challenge),
    }
    path, status, headers = answers[part]
    registry.answers[path] = lambda _: web.Response(status=status, headers=headers)
    with pytest.raises((ImageError, RegistryUnavailableError)) as refused:
        await read(name)
    assert asked == []
    assert SECRET not in str(refused.value)
    assert blamed(refused.value) is not Culprit.MINER


async def test_a_well_known_registry_is_not_looked_for_on_private_addresses(trap):
    where, asked = trap
    found = registries.ImageRegistry(f"http://{where}", may_be_private=False)
    async with HttpClient(
        await registry_client.reach(found, Reach()), registry_client.retry_seconds_left(lambda: 60)
    ) as outside:
        client = RegistryClient(outside, found, "some/image", seconds_left=lambda: 60)
        with pytest.raises(ImageError, match="is not a public address"):
            await client.manifest(ImageName.parse("ghcr.io/some/image"), LINUX)
    assert asked == []


@pytest.mark.parametrize(
    ("status", "culprit"),
    [
        *((status, Culprit.USER) for status in (400, 401, 403, 404, 418)),
        *((status, Culprit.NOBODY) for status in (429, 500, 503)),
    ],
)
@pytest.mark.parametrize("part", ["manifest", "config", "layer"])
async def test_what_a_registry_answers_is_told_by_its_number_alone(
    read, registry, status, culprit, part
):
    name = registry.push("some/image:1", zeros(1000))
    config, layer = sorted(registry.blobs, key=lambda one: registry.blobs[one][:1] != b"{")
    paths = {
        "manifest": MANIFEST_PATH,
        "config": f"/v2/some/image/blobs/{config}",
        "layer": f"/v2/some/image/blobs/{layer}",
    }
    body = {"errors": [{"code": SECRET, "message": SECRET, "detail": SECRET}]}
    registry.answers[paths[part]] = lambda _: web.json_response(
        body, status=status, reason=SECRET, headers={"X-Secret": SECRET}
    )
    with pytest.raises((JobError, HordeError), match=f"HTTP {status}") as refused:
        await read(name)
    assert SECRET not in str(refused.value)
    assert blamed(refused.value) is culprit


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(text=SECRET),
        lambda: web.Response(body=b"x" * (4 * 2**20 + 1)),
        lambda: web.Response(body=b"[" * 2**20, content_type="application/json"),
        lambda: web.json_response([SECRET]),
        lambda: web.json_response({"mediaType": SECRET}),
        lambda: web.json_response({"mediaType": "application/vnd.oci.image.index.v1+json"}),
        lambda: web.Response(status=302, headers={"Location": MANIFEST_PATH}),
        lambda: web.Response(status=302, headers={"Location": f"gopher://{SECRET}/"}),
        lambda: web.Response(status=302),
        lambda: web.Response(status=401, headers={"WWW-Authenticate": f'Basic realm="{SECRET}"'}),
        lambda: web.Response(status=401, headers={"WWW-Authenticate": f'Bearer realm="{SECRET}"'}),
    ],
)
async def test_nonsense_is_never_the_miner_s_fault_and_not_passed_on(read, registry, answer):
    name = registry.push("some/image:1", zeros(1000))
    registry.answers[MANIFEST_PATH] = lambda _: answer()
    with pytest.raises((JobError, HordeError)) as refused:
        await read(name)
    assert SECRET not in str(refused.value).replace(f"{SECRET}: ", "")
    assert blamed(refused.value) is not Culprit.MINER


async def test_a_registry_that_is_not_there_is_nobody_s_fault(read, registry):
    name = registry.push("some/image:1", zeros(1000))
    await registry.stop()
    with pytest.raises(RegistryUnavailableError, match="could not connect") as refused:
        await read(name)
    assert blamed(refused.value) is Culprit.NOBODY


async def test_other_bytes_than_the_digest_says_are_not_taken(read, registry):
    name = registry.push("some/image:1", zeros(1000))
    _, body = registry.manifests[MANIFEST_PATH]
    wanted = digest_of(body)
    registry.answers[f"/v2/some/image/manifests/{wanted}"] = lambda _: web.Response(
        body=body + b" ", content_type="application/vnd.docker.distribution.manifest.v2+json"
    )
    with pytest.raises(RegistryUnavailableError, match="other bytes"):
        await read(f"{name.removesuffix(':1')}@{wanted}")


async def test_a_layer_that_never_comes_whole_is_given_up(read, registry):
    name = registry.push("some/image:1", zeros(1000), layer_extra={"size": 10_000})
    with pytest.raises(RegistryUnavailableError, match="too little"):
        await read(name)


async def test_a_token_is_got_as_told_and_sent_to_the_registry_alone(read, registry):
    name = registry.push("some/image:1", zeros(1000))
    tokens, elsewhere = [], []
    layer = next(one for one, blob in registry.blobs.items() if blob[:1] != b"{")

    def known(request):
        if request.headers.get("Authorization") == "Bearer open":
            return None
        realm = f"http://{registry.host}/token?kind=any"
        challenge = f'Bearer realm="{realm}",service="the service",scope="everything"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    def token(request):
        tokens.append(dict(request.query))
        return web.json_response({"token": "open"})

    def moved(request):
        if known(request) is not None:
            return known(request)
        return web.Response(
            status=307, headers={"Location": f"http://localhost:{registry.port}/cdn?sig=%2F%3A~"}
        )

    def cdn(request):
        elsewhere.append((request.headers.get("Authorization"), request.raw_path))
        return web.Response(body=registry.blobs[layer])

    registry.answers |= {
        MANIFEST_PATH: known,
        "/token": token,
        f"/v2/some/image/blobs/{layer}": moved,
        "/cdn": cdn,
    }
    assert await read(name)
    assert tokens == [
        {"kind": "any", "service": "the service", "scope": "repository:some/image:pull"}
    ]
    assert elsewhere == [(None, "/cdn?sig=%2F%3A~")]


async def test_a_token_that_ended_meanwhile_is_renewed(read, registry):
    name = registry.push("some/image:1", zeros(1000))
    layer = next(one for one, blob in registry.blobs.items() if blob[:1] != b"{")
    valid = ["first"]

    def known(request):
        if request.headers.get("Authorization") == f"Bearer {valid[0]}":
            return None
        challenge = f'Bearer realm="http://{registry.host}/token"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    def later(request):
        valid[0] = "second"
        return known(request)

    registry.answers |= {
        MANIFEST_PATH: known,
        f"/v2/some/image/blobs/{layer}": later,
        "/token": lambda _: web.Response(text=json.dumps({"access_token": valid[0]})),
    }
    assert await read(name)


async def test_a_registry_in_trouble_is_told_before_the_job_s_time_is_over(registry, monkeypatch):
    monkeypatch.setattr(registry_client, "RETRY_SECONDS", 60)
    name = ImageName.parse(registry.push("some/image:1", zeros(1000)))
    found = registries.find(registry.host, [registry.host])
    layer = next(one for one, blob in registry.blobs.items() if blob[:1] != b"{")
    registry.answers[f"/v2/some/image/blobs/{layer}"] = lambda _: web.Response(
        status=503, headers={"Retry-After": "30"}
    )
    async with await to(found) as outside, asyncio.timeout(20):
        client = RegistryClient(outside, found, name.repository, seconds_left=lambda: 10)
        manifest = await client.manifest(name, LINUX)
        with pytest.raises(RegistryUnavailableError, match="HTTP 503"):
            [piece async for piece in client.layer(manifest.layers[0])]
