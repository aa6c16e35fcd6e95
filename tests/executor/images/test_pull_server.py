"""The engine pulls an image from the local server only, and gets no layer before its checks."""

import aiohttp
import pytest

from compute_horde.addresses import Reach
from compute_horde.image_names import ImageName
from executor.images import registries, registry_client
from executor.images.errors import ImageError
from executor.images.manifests import Platform
from executor.images.pull_server import PullServer
from executor.images.registry_client import RegistryClient
from executor.images.unpacked_size import ImageQuota
from executor.transfer.http_client import HttpClient
from tests.executor.images.registry import zeros

MIB = 2**20


@pytest.fixture
async def serving(registry):
    name = ImageName.parse(registry.push("some/image:1", zeros(1000), zeros(50 * MIB, "bomb")))
    found = registries.find(registry.host, [registry.host])
    async with HttpClient(
        Reach(allow_private=True), registry_client.retry_seconds_left(lambda: 60)
    ) as web:
        client = RegistryClient(web, found, name.repository, seconds_left=lambda: 60)
        manifest = await client.manifest(name, Platform("linux", "amd64"))
        config = await client.config(manifest)
        quota = ImageQuota(10 * MIB)
        server = PullServer(client, manifest, config, repository="a/secret", quota=quota)
        async with server.serving():
            host = server.image.partition("/")[0]
            yield server, manifest, f"http://{host}/v2/"


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as made:
        yield made


async def test_it_serves_one_image_to_whoever_knows_its_name(serving, session):
    server, manifest, url = serving
    parts = (f"manifests/{manifest.digest}", f"blobs/{manifest.config.digest}")
    for part in parts:
        for repository, status in (("a/secret", 200), ("a/guess", 404), ("some/image", 404)):
            async with session.get(f"{url}{repository}/{part}") as answer:
                assert answer.status == status
    for part in ("manifests/1", "blobs/sha256:" + "0" * 64):
        async with session.get(f"{url}a/secret/{part}") as answer:
            assert answer.status == 404
    async with session.get(url) as answer:
        assert answer.status == 200
    async with session.get(f"{url}a/secret/blobs/{manifest.layers[0].digest}") as answer:
        assert len(await answer.read()) == manifest.layers[0].size
    assert not server.failed.done()


async def test_a_layer_that_must_not_be_had_never_comes_to_its_end(serving, session):
    server, manifest, url = serving
    bomb = manifest.layers[1]
    async with session.get(f"{url}a/secret/blobs/{bomb.digest}") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    with pytest.raises(ImageError, match="unpacked it is larger"):
        await server.failed
