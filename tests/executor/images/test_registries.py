"""Only registries that the operator lists are used."""

import asyncio
from contextlib import ExitStack

import pytest

from compute_horde.errors import JobError
from executor.config import Config
from executor.images import job_image, registries
from executor.images.errors import ImageError

# Unless the environment says otherwise, as that of the tests' network does.
WELL_KNOWN = Config.model_fields["registries"].default


def test_the_well_known_ones_are_allowed_unless_the_operator_says_otherwise():
    for host in ("docker.io", "ghcr.io", "nvcr.io", "quay.io"):
        found = registries.find(host, WELL_KNOWN)
        assert not found.may_be_private
        assert not found.is_plain
    assert registries.find("docker.io", WELL_KNOWN).url == "https://registry-1.docker.io"


@pytest.mark.parametrize(
    ("entry", "host", "url"),
    [
        ("registry.corp:5000", "registry.corp:5000", "https://registry.corp:5000"),
        ("Registry.Corp", "registry.corp", "https://registry.corp"),
        ("http://10.0.0.5:5000", "10.0.0.5:5000", "http://10.0.0.5:5000"),
        ("127.0.0.1:5000", "127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("localhost", "localhost", "http://localhost"),
    ],
)
def test_what_the_operator_adds_may_be_private(entry, host, url):
    assert registries.find(host, [entry]) == registries.ImageRegistry(url, may_be_private=True)


@pytest.mark.parametrize("host", ["ghcr.io:444", "docker.io.evil.example", "127.0.0.1:5001"])
def test_another_port_or_name_is_another_registry(host):
    with pytest.raises(ImageError, match="only, not from"):
        registries.find(host, ["docker.io", "ghcr.io", "127.0.0.1:5000"])


@pytest.mark.parametrize(
    ("entry", "host", "private"),
    [
        ("127.0.0.1:*", "127.0.0.1:6000", True),
        ("*.corp", "registry.corp", False),
        ("*.corp:5000", "registry.corp:5000", False),
        ("*", "10.0.0.1:80", False),
    ],
)
def test_a_name_that_may_be_any_is_not_a_private_one(entry, host, private):
    assert registries.find(host, [entry]).may_be_private is private


async def test_a_registry_that_is_not_listed_is_not_even_connected_to(engine, tmp_path):
    asked = []

    async def accept(reader, writer):
        asked.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = Config(work_dir=tmp_path, allow_private_urls=True, registries=WELL_KNOWN)
    async with server:
        for name in (f"127.0.0.1:{port}/some/image:1", f"localhost:{port}/x@sha256:{'0' * 64}"):
            with ExitStack() as kept, pytest.raises(JobError, match=r"from docker\.io, ghcr\.io"):
                await job_image.obtain(name, engine, config, kept)
    assert asked == []
