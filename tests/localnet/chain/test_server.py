"""The server at its socket: whatever comes in, it answers and lives."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from bittensor_core import Keypair
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from localnet.chain.testing import RunningChain, running

GOOD = {"jsonrpc": "2.0", "id": 7, "method": "system_chain", "params": []}
ACCOUNT = Keypair.create_from_uri("//a").ss58_address


@pytest.fixture
def socket(local_chain: RunningChain) -> Iterator[ClientConnection]:
    with connect(local_chain.url, proxy=None, max_size=1 << 24) as line:
        yield line


def ask(socket: ClientConnection, frame: Any) -> Any:
    socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))
    return json.loads(socket.recv(timeout=30))


def call(socket: ClientConnection, method: str, *params: Any) -> Any:
    return ask(socket, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def drain(socket: ClientConnection) -> None:
    while True:
        socket.recv(timeout=30)


def assert_lives(socket: ClientConnection) -> None:
    assert ask(socket, GOOD) == {"jsonrpc": "2.0", "id": 7, "result": "localnet"}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", -32700),
        ("{", -32700),
        ("\x00", -32700),
        (b"\xff\xfe", -32700),
        ("[" * 100_000, -32700),
        ("7", -32600),
        ("null", -32600),
        ("[]", -32600),
        ("{}", -32600),
        ('{"id": 1}', -32600),
        ('{"id": 1, "method": 7}', -32600),
        ('{"id": 1, "method": "nothing"}', -32601),
        ('{"id": 1, "method": "state_call", "params": 7}', -32602),
        ('{"id": 1, "method": "state_call"}', -32602),
        (json.dumps([GOOD] * 101), -32600),
    ],
)
def test_a_malformed_frame_is_answered_with_an_error(
    socket: ClientConnection, frame: str | bytes, code: int
) -> None:
    assert ask(socket, frame)["error"]["code"] == code
    assert_lives(socket)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("chain_getBlockHash", ["x"]),
        ("chain_getBlockHash", [-1]),
        ("chain_getBlockHash", [1.5]),
        ("chain_getBlockHash", [True]),
        ("chain_getHeader", [7]),
        ("chain_getHeader", ["zz"]),
        ("state_getStorageAt", []),
        ("state_getStorageAt", ["0x0"]),
        ("state_getStorageAt", ["0x00", "0x" + "00" * 32]),
        ("state_queryStorageAt", ["0x00"]),
        ("state_queryStorageAt", [[7]]),
        ("state_queryStorageAt", [["0x00"] * 1001]),
        ("state_getKeysPaged", ["0x", 1001]),
        ("state_getKeysPaged", ["0x", -1]),
        ("state_call", ["SubnetInfoRuntimeApi_get_metagraph", "0x"]),
        ("state_call", ["Nothing_at_all", "0x"]),
        ("state_call", ["Metadata_metadata_at_version", "0x"]),
        ("account_nextIndex", ["nobody"]),
        ("author_submitExtrinsic", ["0x00"]),
        ("author_submitAndWatchExtrinsic", ["0x"]),
        ("author_unwatchExtrinsic", []),
        ("local_addNeuron", [ACCOUNT, "nobody", 1]),
        ("local_addNeuron", [ACCOUNT, ACCOUNT, -1]),
        ("local_addNeuron", [ACCOUNT, ACCOUNT, 1 << 64]),
        ("local_addNeuron", [ACCOUNT, ACCOUNT, "1"]),
        ("local_setStake", [ACCOUNT, 1]),
        ("local_advance", [1001]),
        ("local_setHyperparameter", ["tempo", 65_536]),
        ("local_setHyperparameter", ["tempo", True]),
        ("local_setHyperparameter", ["commit_reveal_weights_enabled", 1]),
        ("local_setHyperparameter", ["nothing", 1]),
    ],
)
def test_bad_parameters_are_answered_with_an_error(
    socket: ClientConnection, method: str, params: list[Any]
) -> None:
    head = call(socket, "chain_getHeader")
    answer = call(socket, method, *params)
    assert "error" in answer
    assert answer["error"]["code"] != -32603
    assert call(socket, "chain_getHeader") == head


def test_an_unknown_block_is_null(socket: ClientConnection) -> None:
    for method in ("chain_getHeader", "chain_getBlock"):
        assert call(socket, method, "0x" + "00" * 32)["result"] is None
    assert call(socket, "chain_getBlockHash", 10**9)["result"] is None


def test_parameters_may_have_names(socket: ClientConnection) -> None:
    genesis = call(socket, "chain_getBlockHash", 0)["result"]
    named = {"id": 1, "method": "chain_getBlockHash", "params": {"number": "0x0"}}
    assert ask(socket, named)["result"] == genesis


def test_a_batch_is_answered_in_its_order(socket: ClientConnection) -> None:
    batch = [GOOD | {"id": "a"}, 7, GOOD | {"id": "b"}]
    answers = ask(socket, batch)
    assert [answer["id"] for answer in answers] == ["a", None, "b"]
    assert "error" in answers[1]


def test_a_frame_too_large_closes_its_own_connection_only(local_chain: RunningChain) -> None:
    with connect(local_chain.url, proxy=None) as big, connect(local_chain.url, proxy=None) as other:
        with pytest.raises(ConnectionClosed) as closed:
            ask(big, "x" * (1 << 21))
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert_lives(other)


def test_an_invalid_handshake_affects_no_other_connection(
    local_chain: RunningChain, socket: ClientConnection
) -> None:
    async def speak() -> bytes:
        port = int(local_chain.url.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01 this is no http\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        await writer.wait_closed()
        return answer

    assert b"101" not in asyncio.run(speak())
    assert_lives(socket)


def test_every_listed_method_exists(socket: ClientConnection) -> None:
    for method in call(socket, "rpc_methods")["result"]["methods"]:
        answer = call(socket, method)
        assert answer.get("error", {}).get("code") not in (-32601, -32603)
        if "subscribe" in method:
            socket.recv(timeout=30)


def test_heads_are_sent_until_unsubscribed(socket: ClientConnection) -> None:
    named = call(socket, "chain_subscribeNewHeads")["result"]
    first = json.loads(socket.recv(timeout=30))
    assert (first["method"], first["params"]["subscription"]) == ("chain_newHead", named)
    socket.send(json.dumps({"id": 2, "method": "local_advance", "params": [2]}))
    messages = [json.loads(socket.recv(timeout=30)) for _ in range(3)]
    head = int(first["params"]["result"]["number"], 16)
    numbers = [int(one["params"]["result"]["number"], 16) for one in messages if "params" in one]
    assert numbers == [head + 1, head + 2]

    assert call(socket, "chain_unsubscribeNewHeads", named)["result"] is True
    assert call(socket, "chain_unsubscribeNewHeads", named)["result"] is False
    assert call(socket, "local_advance", 1)["result"]["block"] == head + 3


def test_subscriptions_are_bounded(socket: ClientConnection) -> None:
    for _ in range(256):
        call(socket, "chain_subscribeNewHeads")
        socket.recv(timeout=30)
    assert "too many" in call(socket, "chain_subscribeNewHeads")["error"]["message"]


def test_a_client_that_does_not_read_is_disconnected_and_no_other(
    socket: ClientConnection, local_chain: RunningChain
) -> None:
    with connect(local_chain.url, proxy=None, max_queue=1) as deaf:
        for _ in range(200):
            call(deaf, "chain_subscribeNewHeads")
            deaf.recv(timeout=30)
        call(socket, "local_advance", 100)
        assert_lives(socket)
        with pytest.raises(ConnectionClosed):
            drain(deaf)


def test_blocks_are_produced_at_the_block_time() -> None:
    with running(block_seconds=0.1) as chain, connect(chain.url, proxy=None) as socket:
        call(socket, "chain_subscribeNewHeads")
        messages = [json.loads(socket.recv(timeout=30)) for _ in range(11)]
        first, last = (int(messages[at]["params"]["result"]["number"], 16) for at in (0, -1))
        assert last - first == 10
