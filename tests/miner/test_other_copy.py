"""Other copies of a miner, with its hotkey and another database, and miners that are none."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from compute_horde import signing
from compute_horde.adapters.chain_port import Metagraph
from miner import other_copy
from miner.other_copy import (
    INSTANCE_HEADER,
    NONCE_HEADER,
    SIGNATURE_HEADER,
    YIELD_SECONDS,
    ProbeResult,
    instance_id,
    instance_proof,
    probe,
)
from tests.miner.conftest import MINER, STRANGER
from tests.miner.test_periodic import FakeChain, neuron, periodic_tasks

PUBLISHED = {"miner_version": "0.0.27", "runner_version": "unknown"}
OTHER = "0123456789abcdef"
NONCE = "0" * 32
HOTKEY = MINER.ss58_address
pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """A web server; yields its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextmanager
def answering(content: object, headers=lambda nonce: {}) -> Iterator[int]:
    """A web server with a fixed response; `headers` are made from the nonce of the request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers(self.headers.get(NONCE_HEADER, "")).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as port:
        yield port


def proven(nonce, ours=OTHER, key=MINER):
    return instance_proof(key, ours, nonce)


NO_PROOFS = {
    "published miner": lambda nonce: {},
    "only an instance": lambda nonce: {INSTANCE_HEADER: OTHER},
    "another miner": lambda nonce: proven(nonce, key=STRANGER),
    "of another question": lambda nonce: proven(NONCE),
    "of another instance": lambda nonce: proven(nonce) | {INSTANCE_HEADER: "f" * 16},
    "no signature": lambda nonce: proven(nonce) | {SIGNATURE_HEADER: "0x" + "0" * 128},
    "garbage": lambda nonce: proven(nonce) | {SIGNATURE_HEADER: "x" * 1000},
}


@pytest.fixture
def clock(monkeypatch):
    """The seconds by which the clock of the detector is advanced."""
    passed, monotonic = [0.0], time.monotonic
    monkeypatch.setattr(other_copy.time, "monotonic", lambda: monotonic() + passed[0])
    return passed


def test_while_another_copy_answers_its_address_stays_and_an_error_is_logged(caplog):
    with answering(PUBLISHED, proven) as port:
        chain = FakeChain(neuron(MINER, 0, "127.0.0.1", port))
        tasks = periodic_tasks(chain, port=1)
        tasks.refresh()
        tasks.announce()
    assert chain.served == []
    assert {one.other for one in caplog.records if one.levelname == "ERROR"} == {
        f"127.0.0.1:{port}"
    }
    assert "another copy with this hotkey answers" in caplog.text


@pytest.mark.parametrize("name", NO_PROOFS)
def test_a_miner_without_proof_of_the_hotkey_does_not_prevent_the_announcement(name, caplog):
    with answering(PUBLISHED, NO_PROOFS[name]) as port:
        chain = FakeChain(neuron(MINER, 0, "127.0.0.1", port))
        periodic_tasks(chain, port=1).refresh()
    assert chain.served == [("127.0.0.1", 1)]
    assert "did not prove that it has the hotkey" in caplog.text


def test_a_proof_relayed_from_the_old_address_does_not_prevent_the_announcement(caplog):
    ours = instance_id()
    for named in (ours, OTHER):
        with answering(
            PUBLISHED, lambda nonce, named=named: proven(nonce, ours) | {INSTANCE_HEADER: named}
        ) as port:
            chain = FakeChain(neuron(MINER, 0, "127.0.0.1", port))
            periodic_tasks(chain, port=1).refresh()
        assert chain.served == [("127.0.0.1", 1)]


def test_a_copy_that_stays_is_replaced_after_some_minutes_and_yields_then(clock, caplog):
    with answering(PUBLISHED, proven) as port, answering(PUBLISHED, proven) as new_port:
        chain = FakeChain(neuron(MINER, 0, "127.0.0.1", port))
        new = periodic_tasks(chain, port=new_port)
        new.refresh()
        clock[0] += YIELD_SECONDS + 1
        new.refresh()
        assert chain.served == [("127.0.0.1", new_port)]
        assert "announced, although another copy" in caplog.text

        # The copy that was announced before does not announce itself again.
        old = periodic_tasks(chain, port=port)
        old.refresh()
        chain.neurons = (neuron(MINER, 0, "127.0.0.1", new_port),)
        for _ in range(3):
            old.refresh()
            clock[0] += YIELD_SECONDS + 1
        assert len(chain.served) == 1
    # Without a response it does.
    old.refresh()
    assert chain.served[1:] == [("127.0.0.1", port)]


def test_once_the_other_copy_has_ended_the_miner_is_announced():
    with answering(PUBLISHED, proven) as port:
        chain = FakeChain(neuron(MINER, 0, "127.0.0.1", port))
    periodic_tasks(chain, port=1).refresh()
    assert chain.served == [("127.0.0.1", 1)]


def test_a_miner_that_still_answers_at_its_old_address_is_announced(caplog):
    ours = instance_id()
    with answering(PUBLISHED, lambda nonce: proven(nonce, ours)) as port:
        chain = FakeChain(neuron(MINER, 0, "127.0.0.1", port))
        periodic_tasks(chain, port=1).refresh()
    assert chain.served == [("127.0.0.1", 1)]
    assert "prove" not in caplog.text


@pytest.mark.parametrize("content", [[], {"a": 1}, "x"])
def test_a_server_that_is_no_miner_is_no_copy(content):
    with answering(content, proven) as port:
        assert probe("127.0.0.1", port, HOTKEY) is ProbeResult.NOTHING


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n["])
def test_a_slow_response_is_aborted_after_the_time_limit(begin, monkeypatch):
    monkeypatch.setattr(other_copy, "PROBE_SECONDS", 0.5)
    stop = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def handle(self):
            with suppress(OSError):
                self.wfile.write(begin)
                # Faster than the timeout of each piece of the response.
                while not stop.wait(0.05):
                    self.wfile.write(b"1")

    with serving(Slow) as port:
        asking = threading.Thread(target=probe, args=("127.0.0.1", port, HOTKEY), daemon=True)
        asking.start()
        asking.join(30)
        stop.set()
    assert not asking.is_alive()


async def test_a_miner_proves_its_hotkey_for_a_valid_nonce_only(run_miner):
    async with run_miner(serving=True) as it:
        headers = await version_headers(it, NONCE)
        theirs, signature = headers[INSTANCE_HEADER], headers[SIGNATURE_HEADER]
        signing.verify_hex(HOTKEY, f"{other_copy.PURPOSE}:{theirs}:{NONCE}".encode(), signature)
        for nonce in ("", "x", NONCE + "0", "0" * 31 + "\u00b2", "0" * 31 + ":"):
            assert INSTANCE_HEADER not in await version_headers(it, nonce)


@pytest.mark.parametrize("changes", [{"serving": False}, {"trusted": True}])
async def test_a_miner_that_is_not_announced_is_no_copy_of_one_that_is(run_miner, changes):
    async with run_miner(**{"serving": True} | changes) as it:
        assert INSTANCE_HEADER not in await version_headers(it, NONCE)


async def version_headers(it, nonce) -> httpx.Headers:
    transport = httpx.ASGITransport(app=it.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/version", headers={NONCE_HEADER: nonce.encode()})
    assert set(answer.json()) == {"miner_version", "runner_version"}
    return answer.headers


def test_a_miner_that_is_not_registered_is_not_announced():
    """The chain would refuse it; the first refresh after its registration announces it."""
    chain = FakeChain()
    periodic_tasks(chain, port=1).announce()
    assert chain.served == []
    assert chain.metagraph() == Metagraph(1, ())
