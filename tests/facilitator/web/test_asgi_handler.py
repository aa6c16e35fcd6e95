"""Requests through the ASGI application."""

import json

from asgiref.testing import ApplicationCommunicator

from facilitator.asgi import application
from facilitator.jobs.status_feed import feed_registry
from tests.eventually import eventually


def request(path: str, method: str = "GET", **headers: str) -> ApplicationCommunicator:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        "scheme": "http",
    }
    return ApplicationCommunicator(application, scope)


async def answer(call: ApplicationCommunicator, body: bytes = b"") -> tuple[int, bytes]:
    await call.send_input({"type": "http.request", "body": body})
    start = await call.receive_output(30)
    content = b""
    while (part := await call.receive_output(30)).get("more_body"):
        content += part["body"]
    await call.wait(30)
    return start["status"], content + part.get("body", b"")


async def test_pages_and_mistakes_are_answered(user):
    assert (await answer(request("/health")))[0] == 200
    assert (await answer(request("/nowhere")))[0] == 404
    assert (await answer(request("/health", "POST")))[0] == 200
    status, body = await answer(request("/api/v1/jobs/", **user.auth))
    assert (status, json.loads(body)["count"]) == (200, 0)


async def test_a_body_in_pieces_is_put_together():
    call = request("/auth/login", "POST")
    await call.send_input({"type": "http.request", "body": b'{"hotkey"', "more_body": True})
    status, body = await answer(call, b': "x"}')
    assert (status, json.loads(body)) == (400, {"error": "Missing signature"})


async def test_a_client_who_leaves_in_the_middle_gets_no_answer():
    call = request("/auth/login", "POST")
    await call.send_input({"type": "http.request", "body": b"{", "more_body": True})
    await call.send_input({"type": "http.disconnect"})
    await call.wait(30)
    assert await call.receive_nothing(0.05)


async def test_the_end_of_a_body_that_was_cut_is_no_disconnect():
    """The server reports it as one more, empty part of the body."""
    call = request("/auth/login", "POST")
    await call.send_input({"type": "http.request", "body": b"{"})
    await call.send_input({"type": "http.request", "body": b""})
    start = await call.receive_output(30)
    assert start["status"] == 400


async def test_a_stream_is_let_go_when_its_reader_leaves(user, line):
    uuid = (await user.create()).json()["uuid"]
    call = request(f"/api/v1/jobs/{uuid}/events", **user.auth)
    await call.send_input({"type": "http.request", "body": b""})
    assert (await call.receive_output(30))["status"] == 200
    assert b"retry" in (await call.receive_output(30))["body"]
    assert b"sent" in (await call.receive_output(30))["body"]
    assert feed_registry.count(user.hotkey) == 1
    await call.send_input({"type": "http.disconnect"})
    await call.wait(30)
    await eventually(lambda: not feed_registry.count())


async def test_a_broken_view_answers_500_and_the_next_request_works(user, monkeypatch):
    async def broken(hotkey: str) -> bool:
        raise RuntimeError("bug")

    from facilitator.accounts import auth

    with monkeypatch.context() as patched:
        patched.setattr(auth, "is_allowed", broken)
        assert (await answer(request("/api/v1/jobs/", **user.auth)))[0] == 500
    assert (await answer(request("/api/v1/jobs/", **user.auth)))[0] == 200


async def test_every_answer_announces_what_clients_may_rely_on():
    call = request("/auth/nonce")
    await call.send_input({"type": "http.request", "body": b""})
    start = await call.receive_output(30)
    assert (b"x-ch-extensions", b"events, idempotency-key, cancel, logs") in [
        (name.lower(), value) for name, value in start["headers"]
    ]
    await call.receive_output(30)
    await call.wait(30)
