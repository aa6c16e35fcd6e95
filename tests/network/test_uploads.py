"""What a job leaves in /output arrives where it asked, and nothing else does."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from compute_horde_sdk.v1 import ComputeHordeJob, HTTPOutputVolume
from tests.executor.conftest import Site
from tests.network.running import Running, shell

pytestmark = pytest.mark.usefixtures("containers")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    running = Site()
    await running.start()
    running.answers["/put"] = lambda request: web.Response(text="put", headers={"ETag": '"e"'})
    running.answers["/post"] = lambda request: web.Response(text="posted", status=201)
    running.answers["/refuse"] = lambda request: web.Response(text="no", status=403)
    running.answers["/away"] = lambda request: web.Response(
        status=307, headers={"Location": "/put"}
    )
    yield running
    await running.stop()


def failed(job: ComputeHordeJob) -> tuple[str, str, str]:
    assert job.error is not None, (job.status, job.result)
    return job.status.value, job.error.reason, getattr(job.error, "stage", "")


async def test_files_are_put_and_posted_and_the_answers_come_back(
    network: Running, site: Site
) -> None:
    put = HTTPOutputVolume(http_method="PUT", url=site / "put", signed_headers={"x-a": "b"})
    post = HTTPOutputVolume(http_method="POST", url=site / "post", form_fields={"key": "k"})
    script = "mkdir /output/d; echo one >/output/d/1; echo two >/output/2; echo three >/output/3"
    outputs = {"/output/d/1": put, "/output/2": post}
    job = await network.run(shell(script, output_volumes=outputs))
    assert job.status == "completed", job.error
    sent = {path: (headers, body) for _, path, headers, body in site.asked}
    assert set(sent) == {"/put", "/post"}
    assert (sent["/put"][0]["x-a"], sent["/put"][1]) == ("b", b"one\n")
    assert b'name="key"\r\n\r\nk\r\n' in sent["/post"][1]
    assert b'name="file"; filename="2"' in sent["/post"][1]
    results = job.result.upload_results
    assert {path: one.body for path, one in results.items()} == {
        "/output/d/1": "put",
        "/output/2": "posted",
    }
    assert results["/output/d/1"].headers["etag"] == '"e"'


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("refuse?sig=secret", "HTTP 403"),
        ("away", "redirects are not followed here"),
    ],
)
async def test_a_server_that_takes_nothing_is_named(
    network: Running, site: Site, url: str, told: str
) -> None:
    put = HTTPOutputVolume(http_method="PUT", url=(site / "") + url)
    job = await network.run(shell("echo x >/output/x", output_volumes={"/output/x": put}))
    assert failed(job) == ("failed", "upload_failed", "result_upload")
    assert "Upload failed: 'x': 127.0.0.1" in job.error.message
    assert told in job.error.message
    assert "secret" not in job.error.message


@pytest.mark.parametrize(
    "script",
    [
        "ln -s /etc/passwd /output/x",
        "ln -s . /output/d; ln -s /proc/1/environ /output/x",
        "mkdir /output/x",
        "mkfifo /output/x",
        "true",
    ],
)
async def test_only_a_plain_file_of_the_job_is_sent(
    network: Running, site: Site, script: str
) -> None:
    put = HTTPOutputVolume(http_method="PUT", url=site / "put")
    job = await network.run(shell(script, output_volumes={"/output/x": put}))
    assert failed(job) == ("failed", "upload_failed", "result_upload")
    assert "'x' cannot be read as a regular file" in job.error.message
    assert site.asked == []


async def test_headers_that_say_how_to_send_are_refused(network: Running, site: Site) -> None:
    for headers in ({"Host": "elsewhere"}, {"x": "a\r\nTransfer-Encoding: chunked"}):
        put = HTTPOutputVolume(http_method="PUT", url=site / "put", signed_headers=headers)
        job = await network.run(shell("echo x >/output/x", output_volumes={"/output/x": put}))
        assert failed(job) == ("failed", "upload_failed", "result_upload")
        assert f"the header {next(iter(headers))!r}" in job.error.message
    assert site.asked == []
