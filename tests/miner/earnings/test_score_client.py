"""Scores are read from validators within bounds, and only what they signed is used."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from typing import Any

import pytest

from compute_horde.signing import signed_hex
from miner.earnings import score_client
from miner.earnings.rules import class_shares
from miner.earnings.score_client import ScoreFetchError, ScoreSource, fetch_all, verified
from tests.miner.conftest import MINER, STRANGER, VALIDATOR
from tests.miner.earnings.documents import explained, item
from tests.validator.scores.test_recording import SCORES
from validator.scores.documents import documents

HOTKEY = MINER.ss58_address
GOOD = explained(VALIDATOR, HOTKEY, item("always_on.test", "0.5"))
SOURCE = ScoreSource(VALIDATOR.ss58_address, "http://127.0.0.1:1/", HOTKEY)


@asynccontextmanager
async def answering(response: bytes) -> AsyncIterator[tuple[ScoreSource, list[bytes]]]:
    """A validator that answers everything with `response`, and the requests it gets."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(response)
            if not response:
                await reader.read()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield ScoreSource(VALIDATOR.ss58_address, f"http://127.0.0.1:{port}/", HOTKEY), requests


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def test_a_signed_score_is_read() -> None:
    async with answering(http(GOOD)) as (source, requests):
        ((read_from, score, signed),) = await fetch_all([source])
    assert requests[0].startswith(f"GET /scores/{HOTKEY} HTTP/1.1".encode())
    assert read_from == source
    assert (score.cycle_start, score.items[0].amount) == (0, Decimal("0.5"))
    assert signed.document.encode() in json.loads(GOOD)["document"].encode()


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (http(b"{}", "404 Not Found"), "status 404"),
        (http(b"", "302 Found"), "status 302"),
        (http(b"x" * (score_client.MAX_BYTES + 1)), "over 1048576 bytes"),
        (http(b"no JSON"), "not an explained score"),
        (b"", "TimeoutError"),
    ],
)
async def test_whatever_else_a_validator_answers_is_logged_and_not_used(
    response: bytes,
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if not response:
        monkeypatch.setattr(score_client, "TIMEOUT_SECONDS", 0.2)
    async with answering(response) as (source, _):
        away = ScoreSource(source.validator, "http://127.0.0.1:1", HOTKEY)
        assert await fetch_all([away, source]) == []
    problems = {one.address: one.problem for one in caplog.records if hasattr(one, "address")}
    assert problem in problems[source.address] or "Timeout" in problems[source.address]
    assert away.address in problems


@pytest.mark.parametrize(
    "changes",
    [
        {"validator": STRANGER.ss58_address},
        {"hotkey": STRANGER.ss58_address},
        {"type": "weights"},
        {"items": [{"reason": "x" * 501, "number": 1, "amount": 1}]},
        {"items": [item("always_on.test", "NaN")]},
        {"items": [item("always_on.test", "1e9")]},
        {"cycle_start": 10**13},
    ],
    ids=str,
)
def test_a_signed_document_about_something_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ScoreFetchError):
        verified(explained(VALIDATOR, HOTKEY, **changes), SOURCE)


def test_what_the_validator_did_not_sign_is_refused() -> None:
    with pytest.raises(ScoreFetchError, match="MINER_SCORE_URLS"):
        verified(explained(STRANGER, HOTKEY, validator=VALIDATOR.ss58_address), SOURCE)
    changed = GOOD.replace(b"0.5", b"0.9")
    with pytest.raises(ScoreFetchError, match="signature"):
        verified(changed, SOURCE)


def test_what_our_validators_publish_is_understood() -> None:
    texts = documents(SCORES, validator=VALIDATOR.ss58_address, cycle_start=722, cycle_stop=1444)
    for hotkey, text in texts.items():
        answer = {"document": text, "signature": signed_hex(VALIDATOR, text.encode())}
        source = ScoreSource(VALIDATOR.ss58_address, "http://v", hotkey)
        score, _ = verified(json.dumps(answer).encode(), source)
        assert (score.cycle_start, score.cycle_stop) == (722, 1444)
        assert sum(one.amount for one in score.items) == score.share
    assert class_shares([(Decimal(1), json.loads(texts["alice"]))])
