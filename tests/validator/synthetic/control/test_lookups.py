"""Host names of probes are looked up whatever the loop's own threads do."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.validator.synthetic.control.servers import ProbedServer, probed
from validator.synthetic.control import lookups
from validator.synthetic.control.faults import Target
from validator.synthetic.control.lookups import addresses
from validator.synthetic.control.probes import (
    Ask,
    Probe,
    http_client,
    problem_of,
    reaches,
    takes_uploads,
)


async def problem(ask: Ask) -> str:
    async with http_client() as client:
        return await problem_of(Probe(Target(None, "x"), ask), client)


async def test_probes_work_while_all_threads_of_the_loop_are_held() -> None:
    release, server = threading.Event(), ProbedServer()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    held = loop.run_in_executor(None, release.wait)
    try:
        async with probed(server):
            assert await problem(reaches("localhost", server.port)) == ""
            assert await problem(takes_uploads(f"http://localhost:{server.port}/x")) == ""
    finally:
        release.set()
        await held


async def test_the_next_address_is_tried_and_the_host_stays_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        assert host == "storage.example"
        ips = ("127.0.0.9", "127.0.0.1", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ips]

    server = ProbedServer()
    async with probed(server):
        monkeypatch.setattr(socket, "getaddrinfo", found)
        assert await addresses("storage.example", 1) == ["127.0.0.9", "127.0.0.1"]
        asked = httpx.Request("GET", f"http://storage.example:{server.port}/a")
        async with httpx.AsyncClient(transport=lookups.transport()) as client:
            answer = await client.send(asked)
    assert answer.status_code == 200
    assert asked.headers["Host"] == f"storage.example:{server.port}"
    assert asked.extensions["sni_hostname"] == "storage.example"


async def test_an_unknown_host_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "no such host" in await problem(takes_uploads("http://nowhere.example/x"))
    assert "no such host" in await problem(reaches("nowhere.example", 1))


def test_behind_a_proxy_the_usual_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    assert lookups.transport() is None
