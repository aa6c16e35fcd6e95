"""The JSON-RPC methods of Substrate nodes that the Bittensor SDK uses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from localnet.chain import operator_rpc, runtime_api, scenario_rpc
from localnet.chain.blocks import DiscardedStateError, UnknownBlockError
from localnet.chain.errors import INVALID_PARAMS, METHOD_NOT_FOUND, STATE_UNAVAILABLE, RpcError
from localnet.chain.extrinsics import InvalidExtrinsicError, SignedExtrinsic
from localnet.chain.journal import Block
from localnet.chain.node import Node
from localnet.chain.parameters import Parameters, as_natural
from localnet.chain.runtime import SS58_FORMAT, TRANSACTION_VERSION
from localnet.chain.storage import Storage

Method = Callable[[Node, Parameters], Any]

OPERATOR_METHODS = operator_rpc.METHODS | scenario_rpc.METHODS

PAGE_LIMIT = 1000
BLOCK_LIMIT = 1 << 63


def call(node: Node, method: str, params: Any) -> Any:
    """The result of one request. Raises `RpcError` and nothing else for invalid requests."""
    known = METHODS.get(method) or OPERATOR_METHODS.get(method)
    if known is None:
        raise RpcError(METHOD_NOT_FOUND, f"unknown method {method}")
    with _as_rpc_errors():
        return known(node, Parameters(params))


@contextmanager
def _as_rpc_errors() -> Iterator[None]:
    try:
        yield
    except InvalidExtrinsicError as exc:
        raise RpcError(exc.code, exc.message, str(exc)) from exc
    except UnknownBlockError as exc:
        raise RpcError(STATE_UNAVAILABLE, f"UnknownBlock: there is no block 0x{exc}") from exc
    except DiscardedStateError as exc:
        detail = f"UnknownBlock: State already discarded for 0x{exc}"
        raise RpcError(STATE_UNAVAILABLE, detail) from exc
    except runtime_api.UnknownMethodError as exc:
        detail = f"Exported method {exc} is not found"
        raise RpcError(STATE_UNAVAILABLE, "Client error: Execution failed", detail) from exc


def header_json(block: Block) -> dict[str, Any]:
    """A block's header in the JSON of Substrate nodes."""
    return {
        "parentHash": hexadecimal(block.parent),
        "number": hex(block.number),
        "stateRoot": hexadecimal(block.state_root),
        "extrinsicsRoot": hexadecimal(block.extrinsics_root),
        "digest": {"logs": []},
    }


def hexadecimal(data: bytes | None) -> str | None:
    """Bytes in hexadecimal after `0x`; None for None."""
    return None if data is None else "0x" + data.hex()


def submit(node: Node, params: Parameters) -> SignedExtrinsic:
    """Add the extrinsic in the parameters to the pool. Raises `RpcError`."""
    with _as_rpc_errors():
        return node.submit(params.hexadecimal(0, "extrinsic"))


def _number(node: Node, params: Parameters, position: int) -> int:
    """The number of the block whose hash is a parameter; without one, of the newest."""
    if params.optional(position, "at") is None:
        return node.blocks.head.number
    return node.blocks.number_of(params.hexadecimal(position, "at"))


def _storage_at(node: Node, params: Parameters, position: int) -> Storage:
    return node.blocks.storage_at(_number(node, params, position))


def _head(node: Node, _params: Parameters) -> str | None:
    return hexadecimal(node.blocks.head.hash)


def _block_hash(node: Node, params: Parameters) -> str | None:
    requested = params.optional(0, "number")
    if requested is None:
        return hexadecimal(node.blocks.head.hash)
    if isinstance(requested, str):
        try:
            requested = int(requested, 16)
        except ValueError as exc:
            raise RpcError(INVALID_PARAMS, "number must be a whole number") from exc
    return hexadecimal(node.blocks.hash_of(as_natural(requested, "number", BLOCK_LIMIT)))


def _header(node: Node, params: Parameters) -> dict[str, Any] | None:
    try:
        return header_json(node.blocks.block(_number(node, params, 0)))
    except UnknownBlockError:
        return None


def _block(node: Node, params: Parameters) -> dict[str, Any] | None:
    try:
        block = node.blocks.block(_number(node, params, 0))
    except UnknownBlockError:
        return None
    extrinsics = [hexadecimal(raw) for raw in block.extrinsics]
    return {
        "block": {"header": header_json(block), "extrinsics": extrinsics},
        "justifications": None,
    }


def _runtime_version(node: Node, params: Parameters) -> dict[str, Any]:
    runtime = node.blocks.runtime_at(_number(node, params, 0))
    return {
        "specName": "node-subtensor",
        "implName": "localnet",
        "authoringVersion": 1,
        "specVersion": runtime.spec_version,
        "implVersion": 1,
        "apis": [],
        "transactionVersion": TRANSACTION_VERSION,
        "stateVersion": 1,
    }


def _metadata(node: Node, params: Parameters) -> str | None:
    return hexadecimal(node.blocks.runtime_at(_number(node, params, 0)).metadata)


def _runtime_call(node: Node, params: Parameters) -> str | None:
    name, parameters = params.text(0, "name"), params.hexadecimal(1, "bytes")
    storage = _storage_at(node, params, 2)
    try:
        return hexadecimal(runtime_api.answer(storage.runtime, name, parameters, storage))
    except ValueError as exc:
        raise RpcError(INVALID_PARAMS, f"invalid parameters of {name}: {exc}") from exc


def _storage_value(node: Node, params: Parameters) -> str | None:
    number = _storage_at(node, params, 1).number
    return hexadecimal(node.blocks.state.read(params.hexadecimal(0, "key"), number))


def _storage_values(node: Node, params: Parameters) -> list[dict[str, Any]]:
    keys = params.texts(0, "keys", PAGE_LIMIT)
    number = _storage_at(node, params, 1).number
    changes = []
    for key in keys:
        raw = Parameters([key]).hexadecimal(0, "key")
        changes.append([key, hexadecimal(node.blocks.state.read(raw, number))])
    return [{"block": hexadecimal(node.blocks.hash_of(number)), "changes": changes}]


def _keys(node: Node, params: Parameters) -> list[str | None]:
    prefix, count = params.hexadecimal(0, "prefix"), params.natural(1, "count", PAGE_LIMIT)
    after = params.hexadecimal(2, "startKey") if params.optional(2, "startKey") else b""
    number = _storage_at(node, params, 3).number
    found = node.blocks.state.keys(prefix, after, number)
    return [hexadecimal(key) for key, _ in zip(found, range(count), strict=False)]


def _next_nonce(node: Node, params: Parameters) -> int:
    return node.next_nonce(params.account(0, "account"))


def _submit(node: Node, params: Parameters) -> str | None:
    return hexadecimal(submit(node, params).hash)


def _chain(_node: Node, _params: Parameters) -> str:
    return "localnet"


def _properties(_node: Node, _params: Parameters) -> dict[str, Any]:
    return {"ss58Format": SS58_FORMAT, "tokenDecimals": 9, "tokenSymbol": "TAO"}


def _methods(_node: Node, _params: Parameters) -> dict[str, list[str]]:
    return {"methods": sorted({*METHODS, *OPERATOR_METHODS, *SUBSCRIPTIONS})}


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
    "state_getStorage": _storage_value,
    "state_getStorageAt": _storage_value,
    "state_queryStorageAt": _storage_values,
    "system_accountNextIndex": _next_nonce,
    "system_chain": _chain,
    "system_properties": _properties,
}
# Subscriptions, handled by `ChainServer` because they belong to a connection; the value is the
# method of their notifications.
SUBSCRIPTIONS = {
    "author_submitAndWatchExtrinsic": "author_extrinsicUpdate",
    "chain_subscribeNewHeads": "chain_newHead",
    "chain_subscribeFinalizedHeads": "chain_finalizedHead",
}
UNSUBSCRIPTIONS = frozenset(
    {"author_unwatchExtrinsic", "chain_unsubscribeNewHeads", "chain_unsubscribeFinalizedHeads"}
)
