"""How much of a request we hear."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from facilitator.limits import STRANGER_BYTES, BodyLimit


async def exchange(
    pieces: list[bytes],
    headers: list[tuple[bytes, bytes]],
    max_bytes: int = 10,
    is_known: Callable[[Any], bool] = lambda scope: True,
) -> tuple[int, bytes]:
    """What an application behind a limit answers: the length of what it heard."""

    async def application(scope, receive, send):
        heard = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            heard += message["body"]
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(heard)).encode()})

    queue = [
        {"type": "http.request", "body": piece, "more_body": n < len(pieces)}
        for n, piece in enumerate(pieces, 1)
    ]
    sent = []

    async def receive():
        return queue.pop(0)

    async def send(message):
        sent.append(message)

    limited = BodyLimit(application, max_bytes, is_known)
    await limited({"type": "http", "headers": headers}, receive, send)
    assert not queue
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("pieces", [[b""], [b"0123456789"], [b"01234", b"56789", b""]])
async def test_a_short_body_is_heard_whole(pieces):
    status, body = await exchange(pieces, [])
    assert (status, int(body)) == (200, sum(map(len, pieces)))


@pytest.mark.parametrize(
    ("pieces", "headers"),
    [
        ([b"01234", b"56789", b"a"], [(b"content-length", b"11")]),
        ([b"0123456789a"], []),
        ([b"01234", b"56789", b"a", b"bc"], [(b"content-length", b"x")]),
        ([b"01234", b"56789", b"a"], [(b"content-length", b"5")]),
    ],
)
async def test_a_long_body_is_refused_with_the_limit(pieces, headers):
    status, body = await exchange(pieces, headers)
    assert status == 413
    assert "10 bytes" in json.loads(body)["details"]


@pytest.mark.parametrize(("is_known", "kept"), [(True, 300_000), (False, STRANGER_BYTES)])
async def test_of_what_strangers_send_only_the_beginning_is_kept(is_known, kept):
    pieces = [b"x" * STRANGER_BYTES, b"x" * (300_000 - STRANGER_BYTES), b""]
    status, body = await exchange(pieces, [], max_bytes=300_000, is_known=lambda scope: is_known)
    assert (status, int(body)) == (200, kept)
