"""The WebSocket server of a node; produces blocks at the block time."""

import asyncio
import json
import logging
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from compute_horde.concurrency.task_set import TaskSet, run_until_first
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
SEND_QUEUE_LIMIT = 4096
SUBSCRIPTION_LIMIT = 256
LOGGED_REQUEST_CHARACTERS = 64
HEADS = frozenset({"chain_newHead", "chain_finalizedHead"})


class RpcConnection:
    """A client's connection: its subscriptions and the queue of messages to it.

    `heads` maps subscriptions to the method of their notifications, `watched` to the hash of the
    extrinsic.
    """

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.heads: dict[str, str] = {}
        self.watched: dict[str, bytes] = {}
        self._send_queue: asyncio.Queue[str] = asyncio.Queue(SEND_QUEUE_LIMIT)
        self._is_aborted = False

    def send(self, body: Any) -> None:
        """Queue a message; a client that does not read until the queue is full is disconnected."""
        if self._is_aborted:
            return
        try:
            self._send_queue.put_nowait(json.dumps(body, separators=(",", ":")))
        except asyncio.QueueFull:
            log.warning(
                "client disconnected: it reads too slowly",
                extra={"peer": self.socket.remote_address},
            )
            self._is_aborted = True
            self.socket.transport.abort()

    def notify(self, method: str, subscription: str, result: Any) -> None:
        """Queue a notification of a subscription."""
        params = {"subscription": subscription, "result": result}
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    async def send_queued(self) -> None:
        """Send queued messages until cancelled."""
        while True:
            await self.socket.send(await self._send_queue.get())


class ChainServer:
    """Serves one node to any number of clients; with 0 block seconds, blocks are on demand."""

    def __init__(self, block_seconds: float) -> None:
        self._block_seconds = block_seconds
        self._connections: set[RpcConnection] = set()
        self._subscriptions = 0
        self._is_sealing = False
        self.node: Node | None = None

    def on_block(self, block: Block) -> None:
        """Notify the subscribers of new blocks."""
        header = rpc.header_json(block)
        for connection in self._connections:
            for subscription, method in connection.heads.items():
                connection.notify(method, subscription, header)

    def on_status(self, extrinsic_hash: bytes, status: Status) -> None:
        """Notify the clients that watch this extrinsic."""
        for connection in self._connections:
            for subscription, watched in connection.watched.items():
                if watched == extrinsic_hash:
                    connection.notify("author_extrinsicUpdate", subscription, status)

    async def run(self, node: Node, host: str, port: int, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; prints the URL once it accepts connections."""
        self.node = node
        async with serve(
            self._serve_connection,
            host,
            port,
            max_size=FRAME_LIMIT,
            compression=None,
            close_timeout=1,
        ) as server:
            address = server.sockets[0].getsockname()
            log.info("chain is ready", extra={"host": address[0], "port": address[1]})
            print(f"ws://{address[0]}:{address[1]}", flush=True)
            await run_until_first(self._produce_periodically(node), stop.wait())

    async def _produce_periodically(self, node: Node) -> None:
        """Produce a block at every block time; wait forever if that is 0."""
        loop = asyncio.get_running_loop()
        if not self._block_seconds:
            await loop.create_future()
        due = loop.time() + self._block_seconds
        while True:
            await asyncio.sleep(due - loop.time())
            node.produce()
            # After a suspension of the machine, missed blocks are not produced.
            due = max(due + self._block_seconds, loop.time())

    async def _serve_connection(self, socket: ServerConnection) -> None:
        connection = RpcConnection(socket)
        self._connections.add(connection)
        async with TaskSet() as tasks:
            tasks.spawn(connection.send_queued())
            try:
                async for frame in socket:
                    self._handle_frame(connection, frame)
            except ConnectionClosed:
                log.debug("client disconnected")
            finally:
                self._connections.discard(connection)

    def _handle_frame(self, connection: RpcConnection, frame: str | bytes) -> None:
        try:
            body = json.loads(frame)
        except (ValueError, RecursionError):
            error = RpcError(PARSE_ERROR, "the frame is not JSON")
            connection.send({"jsonrpc": "2.0", "id": None, "error": error.as_json()})
            return
        if not isinstance(body, list):
            connection.send(self._response(connection, body))
        elif not 0 < len(body) <= BATCH_LIMIT:
            error = RpcError(INVALID_REQUEST, f"a batch holds 1 to {BATCH_LIMIT} requests")
            connection.send({"jsonrpc": "2.0", "id": None, "error": error.as_json()})
        else:
            connection.send([self._response(connection, request) for request in body])

    def _response(self, connection: RpcConnection, request: Any) -> dict[str, Any]:
        """The response to one request, of any form; every exception becomes an error response."""
        request_id = request.get("id") if isinstance(request, dict) else None
        try:
            return {"jsonrpc": "2.0", "id": request_id, "result": self._result(connection, request)}
        except RpcError as exc:
            error = exc
        except Exception:
            log.exception(
                "request failed", extra={"request": repr(request)[:LOGGED_REQUEST_CHARACTERS]}
            )
            error = RpcError(INTERNAL_ERROR, "internal error")
        return {"jsonrpc": "2.0", "id": request_id, "error": error.as_json()}

    def _result(self, connection: RpcConnection, request: Any) -> Any:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            raise RpcError(INVALID_REQUEST, "a request is an object with a method")
        if self.node is None:
            raise RpcError(INTERNAL_ERROR, "the chain is not ready")
        method, params = request["method"], request.get("params")
        if method in rpc.SUBSCRIPTIONS:
            return self._subscribe(connection, self.node, method, Parameters(params))
        if method in rpc.UNSUBSCRIPTIONS:
            return self._unsubscribe(connection, Parameters(params))
        result = rpc.call(self.node, method, params)
        if method == "author_submitExtrinsic":
            self._schedule_seal(self.node)
        return result

    def _subscribe(
        self, connection: RpcConnection, node: Node, method: str, params: Parameters
    ) -> str:
        if len(connection.heads) + len(connection.watched) >= SUBSCRIPTION_LIMIT:
            raise RpcError(INVALID_REQUEST, "too many subscriptions")
        self._subscriptions += 1
        subscription = f"{self._subscriptions:x}"
        update = rpc.SUBSCRIPTIONS[method]
        loop = asyncio.get_running_loop()
        # Scheduled, so that the response is sent before the first notification.
        if update in HEADS:
            connection.heads[subscription] = update
            loop.call_soon(
                connection.notify, update, subscription, rpc.header_json(node.blocks.head)
            )
        else:
            extrinsic = rpc.submit(node, params)
            connection.watched[subscription] = extrinsic.hash
            loop.call_soon(connection.notify, update, subscription, "ready")
            self._schedule_seal(node)
        return subscription

    def _unsubscribe(self, connection: RpcConnection, params: Parameters) -> bool:
        subscription = str(params.required(0, "subscription"))
        removed = connection.heads.pop(subscription, None) or connection.watched.pop(
            subscription, None
        )
        return removed is not None

    def _schedule_seal(self, node: Node) -> None:
        """With blocks on demand, produce a block after the response to the extrinsic."""
        if not self._block_seconds and not self._is_sealing:
            self._is_sealing = True
            asyncio.get_running_loop().call_soon(self._seal, node)

    def _seal(self, node: Node) -> None:
        self._is_sealing = False
        node.produce()
