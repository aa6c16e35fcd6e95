"""The HTTP server of the streaming form."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from validator.llm.programs.seed_server import SeedServer

SOLVED: list[int] = []


def solve(seed: int) -> dict[str, str]:
    SOLVED.append(seed)
    return {"file": f"hash of {seed}"}


@pytest.fixture
def running() -> Iterator[tuple[httpx.Client, threading.Thread]]:
    SOLVED.clear()
    server = SeedServer(("127.0.0.1", 0), solve)
    thread = threading.Thread(target=server.serve_until_ended)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
        yield client, thread
        if thread.is_alive():
            client.get("/terminate")
    thread.join(5)


def test_it_answers_the_first_seed_and_no_other(running) -> None:
    client, thread = running
    assert client.get("/health").status_code == 200
    for _ in range(2):
        assert client.post("/execute-job", json={"seed": 5}).json() == {"file": "hash of 5"}
    assert client.post("/execute-job", json={"seed": 6}).status_code == 409
    assert SOLVED == [5]
    assert client.get("/terminate").status_code == 200
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/execute-job", b"", 400),
        ("/execute-job", b"[]", 400),
        ("/execute-job", b'{"seed": "5"}', 400),
        ("/execute-job", b'{"seed": true}', 400),
        ("/execute-job", b"x" * 5000, 400),
        ("/another", b"{}", 404),
    ],
)
def test_bad_requests_are_refused(running, path: str, body: bytes, status: int) -> None:
    client, _ = running
    assert client.post(path, content=body).status_code == status
    assert client.get("/another").status_code == 404
    assert SOLVED == []
