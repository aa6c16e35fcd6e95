"""URLs of users are sent byte for byte, by every kind of request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.errors import JobError
from compute_horde.uploads import FilePost, FilePut, MultiUpload, ZipPost, ZipPut
from compute_horde.volumes import HuggingfaceVolume, SingleFileVolume, ZipUrlVolume
from executor.stages import input_volumes, output_uploads
from executor.transfer.exact_urls import UrlSchemeError, exact_url, redirect_target
from tests.executor.conftest import time_for, zipped
from tests.executor.hubs import COMMIT, HubSite, Repo
from tests.executor.raw import OK, answer, raw_server, redirect

TARGETS = [
    "/a?sig=x%2Fy%3Az%40q%7Ee",
    "/a%2Fb/c%7E?X-Amz-Credential=AK%2F2026%2Fus&X-Amz-Signature=0a",
    "/a?Policy=eyJ~&Signature=a-b~c_&Key-Pair-Id=K",
    "/a?se=2026-01-01T00%3A00%3A00Z&sig=a%2bb%2Fc%3d",
    "/a?q=%e4%B8%ad&r=%C3%A9",
    "/a?x=a+b%20c&y=a%2Bb",
    "/a?x=1;y=2,z=(3)!*'$",
    '/a?x=[1]{2}|3^`"<>\\',
    "/a?x=%%25&y=%zz&z=%",
    "/a?=&&x==&y",
    "/a?x?y/z:@",
    "//a//b?x=1",
    "/a/../b/./c?x=../y",
    "/a%2e%2e/%2E?x=1",
    "/a;v=1/b?x=1",
    "/?x=1",
]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("executor.transfer.retries.FIRST_WAIT_SECONDS", 0)


@pytest.fixture
async def server():
    async with raw_server() as running:
        yield running


async def fetched(volume, work, config):
    await input_volumes.fetch(volume, work, config, seconds_left=time_for(3))


def file(url):
    return SingleFileVolume(url=url, relative_path="f")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["file", "zip", "again"])
async def test_a_download_asks_for_exactly_its_url(work, config, server, target, kind):
    url = server.url + target
    if kind == "zip":
        server.answers = [answer(200, zipped(("x", b"y")))]
        await fetched(ZipUrlVolume(contents=url), work, config)
    else:
        server.answers = [answer(503), OK] if kind == "again" else [OK]
        await fetched(file(url), work, config)
    assert {one.target for one in server.asked} == {target}


@pytest.mark.parametrize(
    ("form", "target"),
    [
        (form, target)
        for form in ("{url}{target}", "{host}{target}", "{target}")
        for target in TARGETS
        # Alone, it would name a host.
        if form != "{target}" or not target.startswith("//")
    ],
)
async def test_a_redirect_is_followed_to_exactly_its_location(work, config, server, target, form):
    host = server.url.removeprefix("http:")
    location = form.format(url=server.url, host=host, target=target)
    server.answers = [redirect(location), OK]
    await fetched(file(server.url + "/first"), work, config)
    assert [one.target for one in server.asked] == ["/first", target]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", [FilePut, FilePost, ZipPut, ZipPost])
async def test_an_upload_is_sent_to_exactly_its_url(work, config, server, target, kind):
    (work.output / "f").write_bytes(b"data")
    where = {"relative_path": "f"} if kind in (FilePut, FilePost) else {}
    server.answers = [answer(503), OK]
    asked = kind(url=server.url + target, **where)
    await output_uploads.send(asked, work, config, seconds_left=time_for(3))
    assert [one.target for one in server.asked] == [target, target]


async def test_the_rest_of_the_output_is_sent_to_exactly_its_url(work, config, server):
    rest = ZipPut(url=server.url + TARGETS[0])
    asked = MultiUpload(uploads=[], system_output=rest)
    await output_uploads.send(asked, work, config, seconds_left=time_for(3))
    assert [one.target for one in server.asked] == [TARGETS[0]]


@pytest.mark.parametrize("target", TARGETS[:4])
async def test_a_hub_s_files_are_fetched_from_exactly_where_it_redirects(
    work, config, server, target
):
    async with HubSite() as hub:
        ours = redirecting(hub, server.url + target, config)
        await fetched(HuggingfaceVolume(repo_id="org/name"), work, ours)
    assert [one.target for one in server.asked] == [target]


def redirecting(hub, url, config):
    """The settings for a hub whose one file is on another host."""
    hub.repos["model org/name"] = Repo({"f": b"ok"})
    path = f"/org/name/resolve/{COMMIT}/f"
    hub.trouble[path] = {"status": 302, "headers": {"Location": url}}
    return config.model_copy(update={"hub_url": hub.url})


@pytest.mark.parametrize("status", [401, 403])
async def test_what_a_hub_s_other_host_refuses_is_told_as_that(work, config, server, status):
    server.answers = [answer(status)]
    url = server.url.replace("127.0.0.1", "localhost")
    async with HubSite() as hub:
        ours = redirecting(hub, f"{url}/f?Signature=x", config)
        with pytest.raises(JobError) as failed:
            await fetched(HuggingfaceVolume(repo_id="org/name"), work, ours)
    text = str(failed.value)
    assert f"localhost: the server answered HTTP {status}" in text
    assert "it refuses the address that 127.0.0.1 redirected to" in text
    assert "gated" not in text
    assert "expired" not in text
    assert "Signature" not in text


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("http://h", "/"),
        ("http://h?x=1", "/?x=1"),
        ("HTTP://h/a#b?c", "/a"),
        ("http://h/a b?c d", "/a%20b?c%20d"),
        ("http://h/é?é", "/%C3%A9?%C3%A9"),
        ("http://user:pass@h/a%2F", "/a%2F"),
    ],
)
def test_what_cannot_stand_on_a_request_line_is_encoded_and_nothing_else(written, sent):
    assert exact_url(written).raw_path_qs == sent


@pytest.mark.parametrize(
    "url", ["", "h/a", "ftp://h/a", "http://", "http:///a", "http://h/\n", "http://h:x/", "//h/a"]
)
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(ValueError, match=r".+"):
        exact_url(url)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#?")))
def test_any_printable_query_stays_as_it_is(query):
    if query:
        assert exact_url(f"http://h/p?{query}").raw_path_qs == f"/p?{query}"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("x?y=%2F", "http://h/a/x?y=%2F"),
        ("?y=%7E", "http://h/a/b?y=%7E"),
        ("https://o/%2F", "https://o/%2F"),
        ("\udce9", "http://h/a/%E9"),
    ],
)
def test_a_location_is_relative_to_where_it_comes_from(location, url):
    assert str(redirect_target(exact_url("http://h/a/b?c=1"), location)) == url


@pytest.mark.parametrize("location", ["ftp://h/", "http://", "javascript:x", "//", "http://h:x/"])
def test_a_location_that_is_no_web_address_is_refused(location):
    with pytest.raises(ValueError, match=r".+"):
        redirect_target(exact_url("http://h/a"), location)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "gopher:x", "FILE:///x"])
def test_another_scheme_is_named_as_that(url: str) -> None:
    with pytest.raises(UrlSchemeError):
        exact_url(url)
    with pytest.raises(UrlSchemeError):
        redirect_target(exact_url("https://host/x"), url)
