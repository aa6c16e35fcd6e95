"""Requests and answers are forwarded unchanged between user and service."""

import asyncio

import aiohttp
import httpx
import pytest

from compute_horde.streaming import signed_answers
from compute_horde.streaming.signed_answers import SignedAnswer
from tests.executor.service import user
from tests.executor.streaming.conftest import BODY_MAX_BYTES, SERVER, USER


async def test_a_request_arrives_as_it_was_made(service, proxy):
    async with proxy.client() as asks:
        answer = await asks.request(
            "PATCH", "/hello?a=%2F&b=c%20d", content=b"x", headers={"X": "y"}
        )
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (200, "hello\n", "a")
    ((method, target, headers, body),) = service.asked
    assert (method, target, body) == ("PATCH", "/hello?a=%2F&b=c%20d", b"x")
    assert headers["x"] == "y"


async def test_what_belongs_to_one_connection_stays_there(service, proxy):
    async with proxy.client() as asks:
        headers = {"Connection": "X-Mine", "X-Mine": "1", "TE": "trailers", "Proxy-Foo": "kept"}
        answer = await asks.get("/hello", headers=headers)
    assert "x-hop" not in answer.headers
    headers = service.asked[0][2]
    assert "x-mine" not in headers
    assert "te" not in headers
    assert headers["proxy-foo"] == "kept"


@pytest.mark.parametrize(("path", "status"), [("/teapot", 418), ("/empty", 204), ("/moved", 302)])
async def test_any_status_is_passed_on(proxy, path, status):
    async with proxy.client() as asks:
        assert (await asks.get(path)).status_code == status


async def test_a_head_has_no_body(proxy):
    async with proxy.client() as asks:
        answer = await asks.head("/hello")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == "6"
        assert (await asks.get("/hello")).text == "hello\n"


async def test_an_answer_is_passed_on_piece_by_piece(service, proxy):
    async with proxy.client() as asks, asks.stream("GET", "/ticks") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"one"
        service.ticking.set()
        assert b"two" in await anext(pieces)
    await asyncio.wait_for(service.gone.wait(), 10)


async def test_a_request_is_passed_on_piece_by_piece(proxy):
    async def pieces():
        for _ in range(9):
            yield b"p" * 100_000

    async with proxy.client() as asks:
        assert (await asks.post("/upload", content=pieces())).text == "900000"


async def test_a_request_that_is_too_large_is_refused(proxy):
    async def pieces():
        for _ in range(11):
            yield b"p" * (BODY_MAX_BYTES // 10)

    async with proxy.client() as asks:
        answer = await asks.post("/upload", content=b"p" * (BODY_MAX_BYTES + 1))
        assert answer.status_code == 413
        answer = await asks.post("/upload", content=pieces())
        assert answer.status_code == 413
        assert (await asks.get("/hello")).status_code == 200


async def test_a_cut_answer_does_not_look_whole(proxy):
    async with proxy.client() as asks:
        with pytest.raises(httpx.TransportError):
            await asks.get("/cut")


async def test_a_service_that_is_not_there_is_named(service, proxy):
    (service.folder / "socket").unlink()
    async with proxy.client() as asks:
        answer = await asks.get("/hello")
    assert answer.status_code == 502
    assert "did not answer" in answer.text


async def signed(asks, challenge="nonce", path="/hello", **options):
    return await asks.post(path, headers={signed_answers.ASK: challenge}, **options)


async def test_an_answer_is_signed_when_that_is_asked_for(service, proxy):
    async with proxy.client() as asks:
        answer = await signed(asks, content=b"question")
        unsigned = await asks.get("/hello")
    evidence = SignedAnswer.verified(answer.headers, "nonce", SERVER.certificate)
    request_digest, answer_digest = (
        signed_answers.input_digest("POST", "/hello"),
        signed_answers.output_digest(200, answer.headers["content-type"]),
    )
    request_digest.feed(b"question")
    answer_digest.feed(answer.content)
    assert evidence.input_hash == request_digest.hexdigest()
    assert evidence.output_hash == answer_digest.hexdigest()
    assert evidence.from_ns <= evidence.to_ns
    assert signed_answers.SIGNATURE not in unsigned.headers
    assert "x-ch-sign" not in service.asked[0][2]


async def test_a_failure_is_signed_too(proxy):
    async with proxy.client() as asks:
        answer = await signed(asks, path="/teapot")
    assert answer.status_code == 418
    assert SignedAnswer.verified(answer.headers, "nonce", SERVER.certificate)


@pytest.mark.parametrize("challenge", ["", "a:b", "x" * 65, "ü"])
async def test_a_challenge_that_is_none_is_refused(proxy, challenge):
    async with proxy.client() as asks:
        answer = await signed(asks, challenge.encode())
    assert answer.status_code == 400


async def test_an_answer_too_large_to_sign_is_refused(proxy):
    async with proxy.client() as asks:
        answer = await signed(asks, path="/large")
        assert answer.status_code == 413
        assert len((await asks.get("/large")).content) == 9 * 2**20


async def test_websockets_go_through(proxy):
    tls = user(SERVER.pem, USER)
    async with aiohttp.ClientSession() as session:
        url = f"wss://127.0.0.1:{proxy.port}/ws"
        async with session.ws_connect(url, ssl=tls, protocols=["talk"]) as socket:
            assert socket.protocol == "talk"
            await socket.send_str("hi")
            assert await socket.receive_str(timeout=10) == "hi"
            await socket.send_bytes(b"\0" * 100_000)
            assert len(await socket.receive_bytes(timeout=10)) == 100_000
            await socket.send_str("bye")
            last = await socket.receive(timeout=10)
            assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, 4001)
