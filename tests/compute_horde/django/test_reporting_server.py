"""A server reports that it is ready when it listens, and not before."""

import asyncio
import signal
import socket

import httpx
import pytest
import uvicorn

from compute_horde import startup
from compute_horde.django import reporting_server
from compute_horde.django.reporting_server import ReportingServer
from compute_horde.platform.forced_exit import SERVER_STOP_SECONDS


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def broken(scope, receive, send):
    raise RuntimeError("cannot start")


@pytest.fixture
def reported(monkeypatch):
    found = []
    monkeypatch.setattr(startup, "ready", lambda **fields: found.append(fields))
    return found


def server(app, lifespan="off"):
    options = uvicorn.Config(app, lifespan=lifespan, log_config=None, log_level="critical")
    return ReportingServer(options, "http://example:1")


async def test_it_reports_its_address_once_it_answers(reported):
    it = server(application)
    assert reported == []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(it.serve([listening]))
        async with asyncio.timeout(10), httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{listening.getsockname()[1]}/")
            assert answer.status_code == 204
        assert reported == [{"listens": "http://example:1"}]
        it.should_exit = True
        await serving


def test_once_told_to_stop_it_ends_in_time_whatever_still_waits(monkeypatch):
    asked = []
    monkeypatch.setattr(reporting_server, "exit_within", lambda *given: asked.append(given))
    it = server(application)
    for _ in range(2):
        it.handle_exit(signal.SIGTERM, None)
    assert it.should_exit
    assert asked == [(SERVER_STOP_SECONDS, reporting_server.LEFT_BEHIND)]


async def test_an_application_that_does_not_start_is_not_ready(reported):
    # uvicorn ends the process then.
    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(SystemExit):
        await server(broken, lifespan="on").serve([listening])
    assert reported == []
