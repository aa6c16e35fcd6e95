"""What a job asks for lies in its container, byte by byte; what cannot come is named."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from compute_horde.keyfile import load_hotkey
from compute_horde_sdk.v1 import (
    ComputeHordeJob,
    HTTPInputVolume,
    HuggingfaceInputVolume,
)
from tests.executor.conftest import Site, zipped
from tests.executor.hubs import HubSite, Repo
from tests.network.running import ENDS_WITHIN_SECONDS, HUB_TOKEN, Running, shell
from tests.network.wire import JOBS, job_body, logged_in, signed

pytestmark = pytest.mark.usefixtures("containers")

WEIGHTS = bytes(range(256)) * 8000
SUMS = "cd /volume; find . -type f | sort | xargs sha256sum"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    running = Site()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def hub(network: Running) -> AsyncIterator[HubSite]:
    async with HubSite(network.home.port("hub")) as running:
        files = {"config.json": b"{}", "deep/weights.bin": WEIGHTS, "README.md": b"read"}
        lfs = frozenset({"deep/weights.bin"})
        running.repos["model org/name"] = Repo(files, lfs=lfs, token=HUB_TOKEN)
        running.repos["dataset org/rows"] = Repo({"rows.csv": b"1,2"}, gated=True)
        yield running


def sums(**files: bytes) -> str:
    """What `SUMS` prints for these files."""
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())


def failed(job: ComputeHordeJob) -> tuple[str, str, str]:
    assert job.error is not None, (job.status, job.result)
    return job.status.value, job.error.reason, getattr(job.error, "stage", "")


async def with_volumes(network: Running, *volumes: dict[str, Any]) -> ComputeHordeJob:
    """A job with volumes that the SDK has no name for."""
    user = load_hotkey(Path(network.env["USER_HOTKEY_FILE"]))
    body = job_body(network, args=["sh", "-c", SUMS], volumes=list(volumes))
    async with logged_in(network, user) as http:
        answer = await http.post(JOBS, json=body, headers=signed(body, user))
    job = await network.client().get_job(answer.raise_for_status().json()["uuid"])
    await job.wait(timeout=ENDS_WITHIN_SECONDS)
    return job


async def test_a_repository_of_the_hub_is_there(network: Running, hub: HubSite) -> None:
    wanted = HuggingfaceInputVolume(repo_id="org/name", allow_patterns=["*.json", "deep/*"])
    job = await network.run(shell(SUMS, input_volumes={"/volume/model": wanted}))
    assert job.status == "completed", job.error
    expected = {"./model/config.json": b"{}", "./model/deep/weights.bin": WEIGHTS}
    assert job.result.stdout == sums(**expected)
    # The miner's token opened it, inside of a multi volume, and went nowhere else.
    tokens = {where for where, _, headers in hub.asked if "authorization" in headers}
    assert (tokens, {where for where, *_ in hub.asked}) == ({"hub"}, {"hub", "cdn"})


async def test_a_repository_that_cannot_be_had_is_named(network: Running, hub: HubSite) -> None:
    volumes = {
        "no dataset 'org/name'": HuggingfaceInputVolume(repo_id="org/name", repo_type="dataset"),
        "'org/rows' is gated": HuggingfaceInputVolume(repo_id="org/rows", repo_type="dataset"),
        "no revision 'v9'": HuggingfaceInputVolume(repo_id="org/name", revision="v9"),
    }
    for told, volume in volumes.items():
        job = await network.run(shell("true", input_volumes={"/volume/x": volume}))
        assert failed(job) == ("failed", "download_failed", "volume_download")
        assert told in job.error.message
        assert HUB_TOKEN not in job.error.message


async def test_a_hub_that_is_asked_too_often_is_nobody_s_fault(
    network: Running, hub: HubSite
) -> None:
    hub.trouble["/api/models/org/name"] = {"status": 429}
    volume = HuggingfaceInputVolume(repo_id="org/name")
    job = await network.run(shell("true", input_volumes={"/volume/x": volume}))
    assert failed(job)[:2] == ("horde_failed", "generic_error")
    assert "HTTP 429" in job.error.message


async def test_files_and_zips_from_the_web_are_there(network: Running, site: Site) -> None:
    async def once_broken(request: web.Request) -> web.StreamResponse:
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        whole = len(WEIGHTS)
        part = {"Content-Range": f"bytes {start}-{whole - 1}/{whole}"} if start else {}
        response = web.StreamResponse(status=206 if start else 200, headers={"ETag": '"1"'} | part)
        response.content_length = whole - start
        await response.prepare(request)
        await response.write(WEIGHTS[start:] if start else WEIGHTS[:1_000_000])
        if not start:
            request.transport.close()
        return response

    site.answers["/f"] = once_broken
    site.answers["/z"] = lambda request: web.Response(body=zipped(("a/b.txt", b"b")))
    job = await with_volumes(
        network,
        {"volume_type": "single_file", "url": site / "f", "relative_path": "in/f.bin"},
        {"volume_type": "zip_url", "contents": site / "z", "relative_path": "z"},
    )
    assert job.status == "completed", job.error
    assert job.result.stdout == sums(**{"./in/f.bin": WEIGHTS, "./z/a/b.txt": b"b"})
    resumed = [headers["range"] for _, path, headers, _ in site.asked if "range" in headers]
    assert len(resumed) == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("f?sig=secret", "HTTP 403 (has the signed URL expired?)"),
        ("nothing", "HTTP 404 (there is nothing behind this URL)"),
        ("to-a-file", "only http and https"),
    ],
)
async def test_a_url_that_gives_nothing_is_named_by_its_host(
    network: Running, site: Site, url: str, told: str
) -> None:
    site.answers["/f"] = lambda request: web.Response(status=403)
    site.answers["/nothing"] = lambda request: web.Response(status=404)
    away = {"Location": "file:///etc/passwd"}
    site.answers["/to-a-file"] = lambda request: web.Response(status=302, headers=away)
    volume = HTTPInputVolume(url=(site / "") + url)
    job = await network.run(shell("true", input_volumes={"/volume/x": volume}))
    assert failed(job) == ("failed", "download_failed", "volume_download")
    assert f"volume 1 (single_file) 127.0.0.1: {told}" in job.error.message.replace(
        "the server answered ", ""
    )
    assert "secret" not in job.error.message


async def test_a_zip_that_is_none_is_named(network: Running, site: Site) -> None:
    site.answers["/z"] = lambda request: web.Response(body=b"<html>login</html>")
    job = await with_volumes(
        network, {"volume_type": "zip_url", "contents": site / "z", "relative_path": "z"}
    )
    assert failed(job) == ("failed", "download_failed", "volume_download")
    assert "volume 1 (zip_url) is not a sound zip" in job.error.message
