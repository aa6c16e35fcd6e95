"""Redirects are limited, drop secrets, and are named in errors."""

import pytest

from compute_horde.errors import JobError
from compute_horde.volumes import SingleFileVolume
from executor.stages import input_volumes
from executor.transfer.http_requests import plain_headers
from tests.executor.conftest import time_for
from tests.executor.raw import OK, answer, raw_server, redirect


@pytest.fixture
async def server():
    async with raw_server() as running:
        yield running


async def fetched(volume, work, config):
    await input_volumes.fetch(volume, work, config, seconds_left=time_for(3))


def file(url):
    return SingleFileVolume(url=url, relative_path="f")


def test_headers_that_are_not_utf_8_are_readable():
    assert plain_headers({"X-A": "caf\udce9", "ETag": "e"}) == {"x-a": "caf\ufffd", "etag": "e"}


async def test_what_a_redirect_led_to_and_was_refused_is_no_expired_url(work, config, server):
    server.answers = [redirect("/second"), answer(403)]
    with pytest.raises(JobError, match=r"address that 127\.0\.0\.1 redirected to") as failed:
        await fetched(file(server.url + "/first"), work, config)
    assert "expired" not in str(failed.value)


async def test_a_password_stays_with_the_host_it_was_given_for(work, config, server):
    other = server.url.replace("127.0.0.1", "localhost")
    server.answers = [redirect(f"{other}/second"), OK]
    await fetched(file(server.url.replace("//", "//user:pass@") + "/first"), work, config)
    assert ["authorization" in one.headers for one in server.asked] == [True, False]


async def test_redirects_in_a_circle_end(work, config, server):
    server.answers = [redirect("/again")]
    with pytest.raises(JobError, match="redirects too many times"):
        await fetched(file(server.url + "/first"), work, config)
    assert len(server.asked) == 11
