"""The JSON-RPC methods of a node, those the Bittensor SDK uses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from localnet.chain import operator, views
from localnet.chain.blocks import DiscardedState, UnknownBlock
from localnet.chain.errors import INVALID_PARAMS, METHOD_NOT_FOUND, STATE_UNAVAILABLE, RpcError
from localnet.chain.extrinsics import InvalidExtrinsic, Signed
from localnet.chain.journal import Block
from localnet.chain.ledger import Ledger
from localnet.chain.node import Node
from localnet.chain.parameters import Parameters, as_natural
from localnet.chain.runtime import SPEC_VERSION, SS58_FORMAT, TRANSACTION_VERSION

Method = Callable[[Node, Parameters], Any]

PAGE_LIMIT = 1000
BLOCK_LIMIT = 1 << 63


def call(node: Node, method: str, given: Any) -> Any:
    """Answer one request; every failure is an `RpcError`."""
    known = METHODS.get(method) or operator.METHODS.get(method)
    if known is None:
        raise RpcError(METHOD_NOT_FOUND, f"there is no method {method}")
    with _said_as_rpc_errors():
        return known(node, Parameters(given))


@contextmanager
def _said_as_rpc_errors() -> Iterator[None]:
    try:
        yield
    except InvalidExtrinsic as exc:
        raise RpcError(exc.code, exc.message, str(exc)) from exc
    except UnknownBlock as exc:
        raise RpcError(STATE_UNAVAILABLE, f"UnknownBlock: there is no block 0x{exc}") from exc
    except DiscardedState as exc:
        detail = f"UnknownBlock: State already discarded for 0x{exc}"
        raise RpcError(STATE_UNAVAILABLE, detail) from exc
    except views.UnknownMethod as exc:
        detail = f"Exported method {exc} is not found"
        raise RpcError(STATE_UNAVAILABLE, "Client error: Execution failed", detail) from exc


def heading(block: Block) -> dict[str, Any]:
    """A block's header as nodes write it."""
    return {
        "parentHash": hexadecimal(block.parent),
        "number": hex(block.number),
        "stateRoot": hexadecimal(block.state_root),
        "extrinsicsRoot": hexadecimal(block.extrinsics_root),
        "digest": {"logs": []},
    }


def hexadecimal(data: bytes | None) -> str | None:
    """Bytes as `0x` hex; None stays None."""
    return None if data is None else "0x" + data.hex()


def submit(node: Node, given: Parameters) -> Signed:
    """Take the extrinsic in the parameters into the pool, or `RpcError`."""
    with _said_as_rpc_errors():
        return node.submit(given.hexadecimal(0, "extrinsic"))


def _number(node: Node, given: Parameters, place: int) -> int:
    """The block a request asks about: by hash, or the newest."""
    if given.optional(place, "at") is None:
        return node.blocks.head.number
    return node.blocks.number_of(given.hexadecimal(place, "at"))


def _ledger(node: Node, given: Parameters, place: int) -> Ledger:
    return node.blocks.ledger_at(_number(node, given, place))


def _head(node: Node, _given: Parameters) -> str | None:
    return hexadecimal(node.blocks.head.hash)


def _block_hash(node: Node, given: Parameters) -> str | None:
    wanted = given.optional(0, "number")
    if wanted is None:
        return hexadecimal(node.blocks.head.hash)
    if isinstance(wanted, str):
        try:
            wanted = int(wanted, 16)
        except ValueError as exc:
            raise RpcError(INVALID_PARAMS, "number must be a whole number") from exc
    return hexadecimal(node.blocks.hash_of(as_natural(wanted, "number", BLOCK_LIMIT)))


def _header(node: Node, given: Parameters) -> dict[str, Any] | None:
    try:
        return heading(node.blocks.block(_number(node, given, 0)))
    except UnknownBlock:
        return None


def _block(node: Node, given: Parameters) -> dict[str, Any] | None:
    try:
        block = node.blocks.block(_number(node, given, 0))
    except UnknownBlock:
        return None
    extrinsics = [hexadecimal(raw) for raw in block.extrinsics]
    return {
        "block": {"header": heading(block), "extrinsics": extrinsics},
        "justifications": None,
    }


def _runtime_version(_node: Node, _given: Parameters) -> dict[str, Any]:
    return {
        "specName": "node-subtensor",
        "implName": "localnet",
        "authoringVersion": 1,
        "specVersion": SPEC_VERSION,
        "implVersion": 1,
        "apis": [],
        "transactionVersion": TRANSACTION_VERSION,
        "stateVersion": 1,
    }


def _metadata(node: Node, _given: Parameters) -> str | None:
    return hexadecimal(node.runtime.metadata)


def _runtime_call(node: Node, given: Parameters) -> str | None:
    name, parameters = given.text(0, "name"), given.hexadecimal(1, "bytes")
    ledger = _ledger(node, given, 2)
    try:
        return hexadecimal(views.answer(node.runtime, name, parameters, ledger))
    except ValueError as exc:
        raise RpcError(INVALID_PARAMS, f"{name} could not read its parameters: {exc}") from exc


def _storage(node: Node, given: Parameters) -> str | None:
    number = _ledger(node, given, 1).number
    return hexadecimal(node.blocks.state.read(given.hexadecimal(0, "key"), number))


def _storages(node: Node, given: Parameters) -> list[dict[str, Any]]:
    keys = given.texts(0, "keys", PAGE_LIMIT)
    number = _ledger(node, given, 1).number
    changes = []
    for key in keys:
        raw = Parameters([key]).hexadecimal(0, "key")
        changes.append([key, hexadecimal(node.blocks.state.read(raw, number))])
    return [{"block": hexadecimal(node.blocks.hash_of(number)), "changes": changes}]


def _keys(node: Node, given: Parameters) -> list[str | None]:
    prefix, count = given.hexadecimal(0, "prefix"), given.natural(1, "count", PAGE_LIMIT)
    after = given.hexadecimal(2, "startKey") if given.optional(2, "startKey") else b""
    number = _ledger(node, given, 3).number
    found = node.blocks.state.keys(prefix, after, number)
    return [hexadecimal(key) for key, _ in zip(found, range(count), strict=False)]


def _next_nonce(node: Node, given: Parameters) -> int:
    return node.next_nonce(given.account(0, "account"))


def _submit(node: Node, given: Parameters) -> str | None:
    return hexadecimal(submit(node, given).hash)


def _chain(_node: Node, _given: Parameters) -> str:
    return "localnet"


def _properties(_node: Node, _given: Parameters) -> dict[str, Any]:
    return {"ss58Format": SS58_FORMAT, "tokenDecimals": 9, "tokenSymbol": "TAO"}


def _methods(_node: Node, _given: Parameters) -> dict[str, list[str]]:
    return {"methods": sorted({*METHODS, *operator.METHODS, *SUBSCRIPTIONS})}


METHODS: dict[str, Method] = {
    "account_nextIndex": _next_nonce,
    "author_submitExtrinsic": _submit,
    "chain_getBlock": _block,
    "chain_getBlockHash": _block_hash,
    "chain_getFinalizedHead": _head,
    "chain_getHead": _head,
    "chain_getHeader": _header,
    "rpc_methods": _methods,
    "state_call": _runtime_call,
    "state_getKeysPaged": _keys,
    "state_getMetadata": _metadata,
    "state_getRuntimeVersion": _runtime_version,
    "state_getStorage": _storage,
    "state_getStorageAt": _storage,
    "state_queryStorageAt": _storages,
    "system_accountNextIndex": _next_nonce,
    "system_chain": _chain,
    "system_properties": _properties,
}
# Answered where the connection is: these need somebody to tell.
SUBSCRIPTIONS = {
    "author_submitAndWatchExtrinsic": "author_extrinsicUpdate",
    "chain_subscribeNewHeads": "chain_newHead",
    "chain_subscribeFinalizedHeads": "chain_finalizedHead",
}
UNSUBSCRIPTIONS = frozenset(
    {"author_unwatchExtrinsic", "chain_unsubscribeNewHeads", "chain_unsubscribeFinalizedHeads"}
)
