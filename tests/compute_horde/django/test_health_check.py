"""The health check of a container asks its own web server, through no proxy."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from compute_horde.django import health_check
from compute_horde.django.health_check import ask
from tests.servers import free_port


@contextmanager
def serving(status: int, body: bytes) -> Iterator[int]:
    """A web server on a free port that answers every path with this."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    asked: list[str] = []
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
    assert asked == ["/health"]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_the_answer_is_printed_and_decides(status, code, capsys, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(status, b"the database is away \xff" + b"x" * 1000) as port:
        assert ask(port) == code
    printed = capsys.readouterr().out
    assert printed.startswith("the database is away \N{REPLACEMENT CHARACTER}")
    assert len(printed) < 250


def test_nobody_listening_is_not_healthy(capsys):
    port = free_port()
    assert ask(port) == 1
    assert f"http://127.0.0.1:{port}/health: " in capsys.readouterr().out


def test_silence_is_not_healthy(monkeypatch, capsys):
    monkeypatch.setattr(health_check, "ASK_SECONDS", 0.2)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:
        assert ask(silent.server_port) == 1
    assert "timed out" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() != 0, reason="a process namespace needs root")
def test_the_first_process_of_a_container_is_known_by_its_last_word():
    asks = (
        "from compute_horde.django import health_check as h; print(h.first_process_of_container())"
    )
    inside = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", asks, "keep"]
    done = subprocess.run(inside, capture_output=True, text=True, check=True)
    assert done.stdout == "keep\n"
