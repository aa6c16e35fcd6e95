"""The websocket server: frames in, answers and notifications out, blocks on time."""

import asyncio
import json
import logging
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from localnet.chain import rpc
from localnet.chain.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    RpcError,
)
from localnet.chain.journal import Block
from localnet.chain.node import Node, Status
from localnet.chain.parameters import Parameters

log = logging.getLogger(__name__)

FRAME_LIMIT = 1 << 20
BATCH_LIMIT = 100
OUTBOX_LIMIT = 4096
SUBSCRIPTION_LIMIT = 256
METHOD_SHOWN = 64
HEADS = frozenset({"chain_newHead", "chain_finalizedHead"})


class Client:
    """One connection: its subscriptions, and what still has to be sent to it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.heads: dict[str, str] = {}
        self.watched: dict[str, bytes] = {}
        self._outbox: asyncio.Queue[str] = asyncio.Queue(OUTBOX_LIMIT)
        self._lost = False

    def say(self, body: Any) -> None:
        """Send soon; who does not read loses the connection."""
        if self._lost:
            return
        try:
            self._outbox.put_nowait(json.dumps(body, separators=(",", ":")))
        except asyncio.QueueFull:
            log.warning("client too slow", extra={"client": self.socket.remote_address})
            self._lost = True
            self.socket.transport.abort()

    def notify(self, method: str, subscription: str, result: Any) -> None:
        """Send one update of a subscription."""
        params = {"subscription": subscription, "result": result}
        self.say({"jsonrpc": "2.0", "method": method, "params": params})

    async def deliver(self) -> None:
        """Send what is waiting, for as long as the connection lives."""
        while True:
            await self.socket.send(await self._outbox.get())


class Server:
    """Serves one node to any number of clients."""

    def __init__(self, block_seconds: float) -> None:
        self._block_seconds = block_seconds
        self._clients: set[Client] = set()
        self._subscriptions = 0
        self._sealing = False
        self.node: Node | None = None

    def on_block(self, block: Block) -> None:
        """Tell everyone who follows the heads."""
        header = rpc.heading(block)
        for client in self._clients:
            for subscription, method in client.heads.items():
                client.notify(method, subscription, header)

    def on_status(self, extrinsic_hash: bytes, status: Status) -> None:
        """Tell everyone who watches this extrinsic."""
        for client in self._clients:
            for subscription, watched in client.watched.items():
                if watched == extrinsic_hash:
                    client.notify("author_extrinsicUpdate", subscription, status)

    async def run(self, node: Node, host: str, port: int, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        self.node = node
        async with serve(
            self._converse, host, port, max_size=FRAME_LIMIT, compression=None, close_timeout=1
        ) as server:
            address = server.sockets[0].getsockname()
            log.info("chain is ready", extra={"host": address[0], "port": address[1]})
            print(f"ws://{address[0]}:{address[1]}", flush=True)
            ticking = asyncio.create_task(self._tick(node))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({ticking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if ticking.done():
                ticking.result()
            ticking.cancel()

    async def _tick(self, node: Node) -> None:
        """Make a block every so often; only on demand when the time is zero."""
        loop = asyncio.get_running_loop()
        if not self._block_seconds:
            await loop.create_future()
        due = loop.time() + self._block_seconds
        while True:
            await asyncio.sleep(due - loop.time())
            node.produce()
            # A machine that slept does not make up for the blocks it missed.
            due = max(due + self._block_seconds, loop.time())

    async def _converse(self, socket: ServerConnection) -> None:
        client = Client(socket)
        self._clients.add(client)
        delivering = asyncio.create_task(client.deliver())
        try:
            async for frame in socket:
                self._hear(client, frame)
        except ConnectionClosed:
            log.debug("client lost")
        finally:
            self._clients.discard(client)
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    def _hear(self, client: Client, frame: str | bytes) -> None:
        try:
            body = json.loads(frame)
        except (ValueError, RecursionError):
            error = RpcError(PARSE_ERROR, "the frame is not JSON")
            client.say({"jsonrpc": "2.0", "id": None, "error": error.as_json()})
            return
        if not isinstance(body, list):
            client.say(self._response(client, body))
        elif not 0 < len(body) <= BATCH_LIMIT:
            error = RpcError(INVALID_REQUEST, f"a batch holds 1 to {BATCH_LIMIT} requests")
            client.say({"jsonrpc": "2.0", "id": None, "error": error.as_json()})
        else:
            client.say([self._response(client, request) for request in body])

    def _response(self, client: Client, request: Any) -> dict[str, Any]:
        """Answer one request, whatever it is: this is the edge where every failure ends."""
        identity = request.get("id") if isinstance(request, dict) else None
        try:
            return {"jsonrpc": "2.0", "id": identity, "result": self._result(client, request)}
        except RpcError as exc:
            error = exc
        except Exception:
            log.exception("request failed", extra={"request": repr(request)[:METHOD_SHOWN]})
            error = RpcError(INTERNAL_ERROR, "internal error")
        return {"jsonrpc": "2.0", "id": identity, "error": error.as_json()}

    def _result(self, client: Client, request: Any) -> Any:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            raise RpcError(INVALID_REQUEST, "a request is an object with a method")
        if self.node is None:
            raise RpcError(INTERNAL_ERROR, "the chain is not ready")
        method, given = request["method"], request.get("params")
        if method in rpc.SUBSCRIPTIONS:
            return self._subscribe(client, self.node, method, Parameters(given))
        if method in rpc.UNSUBSCRIPTIONS:
            return self._unsubscribe(client, Parameters(given))
        result = rpc.call(self.node, method, given)
        if method == "author_submitExtrinsic":
            self._seal_soon(self.node)
        return result

    def _subscribe(self, client: Client, node: Node, method: str, given: Parameters) -> str:
        if len(client.heads) + len(client.watched) >= SUBSCRIPTION_LIMIT:
            raise RpcError(INVALID_REQUEST, "too many subscriptions")
        self._subscriptions += 1
        subscription = f"{self._subscriptions:x}"
        update = rpc.SUBSCRIPTIONS[method]
        loop = asyncio.get_running_loop()
        # The answer must leave first; what is scheduled here runs after it.
        if update in HEADS:
            client.heads[subscription] = update
            loop.call_soon(client.notify, update, subscription, rpc.heading(node.blocks.head))
        else:
            extrinsic = rpc.submit(node, given)
            client.watched[subscription] = extrinsic.hash
            loop.call_soon(client.notify, update, subscription, "ready")
            self._seal_soon(node)
        return subscription

    def _unsubscribe(self, client: Client, given: Parameters) -> bool:
        subscription = str(given.required(0, "subscription"))
        gone = client.heads.pop(subscription, None) or client.watched.pop(subscription, None)
        return gone is not None

    def _seal_soon(self, node: Node) -> None:
        """Without a block time, an extrinsic makes its own block once it has been answered."""
        if not self._block_seconds and not self._sealing:
            self._sealing = True
            asyncio.get_running_loop().call_soon(self._seal, node)

    def _seal(self, node: Node) -> None:
        self._sealing = False
        node.produce()
