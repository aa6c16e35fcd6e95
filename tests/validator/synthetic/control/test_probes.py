"""Single probes, against real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from compute_horde.image_names import ImageName
from tests.validator.synthetic.control.servers import ProbedServer, probed
from validator.synthetic.control import probes
from validator.synthetic.control.faults import Target
from validator.synthetic.control.probes import (
    Ask,
    Probe,
    has_default_route,
    has_image,
    http_client,
    is_outside,
    problem_of,
    reaches,
    serves_input,
    takes_uploads,
)

TOKEN = {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:{port}/token",service="reg"'}


async def problem(ask: Ask) -> str:
    async with http_client() as client:
        return await problem_of(Probe(Target(None, "x"), ask), client)


def image(server: ProbedServer) -> ImageName:
    return ImageName.parse(f"{server.address}/org/hash:v1")


async def test_an_address_works_while_it_takes_connections() -> None:
    server = ProbedServer()
    async with probed(server):
        assert await problem(reaches("127.0.0.1", server.port)) == ""
    assert "ConnectionRefusedError" in await problem(reaches("127.0.0.1", server.port))


async def test_an_address_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PROBE_SECONDS", 0.05)
    server = ProbedServer()
    server.is_silent = True
    async with probed(server):
        found = await problem(serves_input(f"http://{server.address}/x"))
    assert found == "no answer in 0.05 s"


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (200, ""),
        (404, "it does not have the image"),
        (403, ""),
        (429, ""),
        (500, "the registry answered HTTP 500"),
    ],
)
async def test_a_registry_works_while_it_has_the_image(status: int, found: str) -> None:
    server = ProbedServer(status)
    async with probed(server):
        assert await problem(has_image(image(server))) == found
    assert server.requests[-1] == "HEAD /v2/org/hash/manifests/v1 HTTP/1.1"


@pytest.mark.parametrize(
    ("body", "tokens"), [('{"token": "secret"}', 1), ("[]", 0), ('{"token": 5}', 0)]
)
async def test_a_registry_that_wants_a_token_gets_the_one_for_everybody(
    body: str, tokens: int
) -> None:
    server = ProbedServer(401, body=body)
    async with probed(server):
        given = TOKEN["WWW-Authenticate"].format(port=server.port)
        server.headers["WWW-Authenticate"] = given
        server.answers["/token"] = 200
        assert await problem(has_image(image(server))) == ""
    asked = [line for line in server.requests if "/token?" in line]
    assert len(asked) == 1
    assert "scope=repository%3Aorg%2Fhash%3Apull" in asked[0]
    assert "service=reg" in asked[0]
    assert len([line for line in server.requests if line.startswith("HEAD")]) == 1 + tokens


async def test_a_registry_whose_login_fails_has_failed() -> None:
    server = ProbedServer(401)
    async with probed(server):
        server.headers["WWW-Authenticate"] = TOKEN["WWW-Authenticate"].format(port=server.port)
        server.answers["/token"] = 503
        assert "its login answered HTTP 503" in await problem(has_image(image(server)))


@pytest.mark.parametrize(
    ("status", "input_problem", "upload_problem"),
    [
        (206, "", ""),
        (416, "", ""),
        (302, "", ""),
        (403, "the server answered HTTP 403", ""),
        (503, "the server answered HTTP 503", "the server answered HTTP 503"),
    ],
)
async def test_storage_works_while_it_serves_inputs_and_answers(
    status: int, input_problem: str, upload_problem: str
) -> None:
    server = ProbedServer(status)
    async with probed(server):
        url = f"http://{server.address}/in?signature=1"
        assert await problem(serves_input(url)) == input_problem
        assert await problem(takes_uploads(url)) == upload_problem
    assert server.requests == ["GET /in?signature=1 HTTP/1.1", "GET / HTTP/1.1"]


async def test_what_is_no_url_is_a_problem_and_no_error() -> None:
    assert await problem(serves_input("nonsense"))
    assert await problem(takes_uploads("http://[::1/x"))


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "ipv6_route").write_text("")
    return tmp_path


HEAD = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
V6 = f"{'0' * 32} 00 {'0' * 32} 00 fe80 00000400 1 0 00000003 "


@pytest.mark.parametrize(
    ("v4", "v6", "found"),
    [
        ("eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0\n", "", True),
        ("eth0 00000000 010011AC 0002 0 0 0 00000000 0 0 0\n", "", False),
        ("eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n", "", False),
        ("", V6 + "eth0\n", True),
        ("", V6 + "lo\n", False),
    ],
)
def test_the_default_route(tables: Path, v4: str, v6: str, found: bool) -> None:
    (tables / "route").write_text(HEAD + v4)
    (tables / "ipv6_route").write_text(v6)
    assert has_default_route(tables) is found


def test_where_the_kernel_does_not_tell_nothing_is_known(tmp_path: Path) -> None:
    assert has_default_route(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("host", "found"),
    [
        *(("example.com", True), ("8.8.8.8", True)),
        *(("10.0.0.1", False), ("localhost", False), ("::1", False)),
    ],
)
def test_private_addresses_are_inside(host: str, found: bool) -> None:
    assert is_outside(host) is found
