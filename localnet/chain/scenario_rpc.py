"""The operator's JSON-RPC methods that make happen what happens by itself on the live chain."""

from collections.abc import Callable
from typing import Any

from localnet.chain import collateral, key_swaps, upgrades
from localnet.chain.errors import INVALID_PARAMS, RpcError
from localnet.chain.node import Node
from localnet.chain.operator_rpc import alter
from localnet.chain.pallets import LOCAL
from localnet.chain.parameters import Parameters, as_natural
from localnet.chain.storage import Storage
from localnet.chain.weight_calls import MAX_MECHANISMS, mechanism_index
from localnet.chain.weights import U16_MAX

ROW_LIMIT = 4096
U64_LIMIT = (1 << 63) - 1


def _set_owner(node: Node, params: Parameters) -> dict[str, int]:
    """Make a coldkey the owner of the subnet."""
    owner = params.account(0, "coldkey")
    alter(node, lambda storage: storage.put("SubnetOwner", node.netuid, value=owner))
    return {"block": node.blocks.head.number}


def _trigger_epoch(node: Node, params: Parameters) -> dict[str, int]:
    """Run an epoch after this many more blocks, whatever the schedule; the block of it."""
    blocks = params.natural(0, "blocks", 1 << 32)

    def change(storage: Storage) -> int:
        due = storage.number + blocks
        storage.put("PendingEpochAt", node.netuid, value=due)
        return due

    return {"epoch_block": alter(node, change), "block": node.blocks.head.number}


def _open_commit(node: Node, params: Parameters) -> dict[str, int]:
    """Supply the content of a validator's pending commits: pairs of uid and weight."""
    hotkey, row = params.account(0, "hotkey"), _row(params.required(1, "weights"))
    mechanism = _optional(params, 2, "mechanism", MAX_MECHANISMS - 1)
    opened = {"row": row, "version_key": _optional(params, 3, "version_key", U64_LIMIT)}
    index = mechanism_index(node.netuid, mechanism)
    alter(
        node,
        lambda storage: storage.put("OpenedCommits", index, hotkey, value=opened, pallet=LOCAL),
    )
    return {"block": node.blocks.head.number}


def _fail_reveals(node: Node, params: Parameters) -> dict[str, int]:
    """Make this many of the next reveals fail; their weights are lost."""
    count = params.natural(0, "count", 1 << 31)
    alter(node, lambda storage: storage.put("RevealsToFail", value=count, pallet=LOCAL))
    return {"block": node.blocks.head.number}


def _earn(node: Node, params: Parameters) -> dict[str, int]:
    """Pay a neuron, which releases or fills its collateral."""
    hotkey, amount = params.account(0, "hotkey"), params.natural(1, "alpha_rao")
    alter(node, lambda storage: collateral.earn(storage, node.netuid, hotkey, amount))
    return {"block": node.blocks.head.number}


def _lock_collateral(node: Node, params: Parameters) -> dict[str, int]:
    """Give a neuron new stake that is locked as its collateral."""
    hotkey, amount = params.account(0, "hotkey"), params.natural(1, "alpha_rao")

    def change(storage: Storage) -> None:
        coldkey = storage.get("Owner", hotkey)
        collateral.lock(storage, node.netuid, hotkey, coldkey, amount, is_new=True)

    alter(node, change)
    return {"block": node.blocks.head.number}


def _swap_hotkey(node: Node, params: Parameters) -> dict[str, int]:
    """Replace a neuron's hotkey."""
    old, new = params.account(0, "old"), params.account(1, "new")
    uid = alter(node, lambda storage: key_swaps.swap_hotkey(storage, node.netuid, old, new))
    return {"uid": uid, "block": node.blocks.head.number}


def _swap_coldkey(node: Node, params: Parameters) -> dict[str, int]:
    """Replace the owner of neurons."""
    old, new = params.account(0, "old"), params.account(1, "new")
    alter(node, lambda storage: key_swaps.swap_coldkey(storage, node.netuid, old, new))
    return {"block": node.blocks.head.number}


def _upgrade_runtime(node: Node, params: Parameters) -> dict[str, int]:
    """Change the runtime's version and metadata while the chain runs."""
    kinds = ", ".join(upgrades.KINDS)
    kind = params.text(0, "kind")
    if kind not in upgrades.KINDS:
        raise RpcError(INVALID_PARAMS, f"kind must be one of {kinds}")
    version = upgrades.next_version(node.runtime.spec_version, upgrades.UpgradeKind(kind))
    info = {"spec_version": version, "spec_name": upgrades.SPEC_NAME}
    alter(node, lambda storage: storage.put("LastRuntimeUpgrade", value=info, pallet="System"))
    return {"spec_version": version, "block": node.blocks.head.number}


def _optional(params: Parameters, position: int, name: str, limit: int) -> int:
    """A whole number up to `limit`; 0 if it is absent."""
    value = params.optional(position, name)
    return 0 if value is None else as_natural(value, name, limit)


def _row(value: Any) -> list[tuple[int, int]]:
    if not isinstance(value, list) or len(value) > ROW_LIMIT:
        raise RpcError(INVALID_PARAMS, f"weights must be a list of at most {ROW_LIMIT} pairs")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise RpcError(INVALID_PARAMS, "weights must be pairs of uid and weight")
    return [(as_natural(u, "uid", U16_MAX), as_natural(w, "weight", U16_MAX)) for u, w in value]


METHODS: dict[str, Callable[[Node, Parameters], Any]] = {
    "local_earn": _earn,
    "local_failReveals": _fail_reveals,
    "local_lockCollateral": _lock_collateral,
    "local_openCommit": _open_commit,
    "local_setOwner": _set_owner,
    "local_swapColdkey": _swap_coldkey,
    "local_swapHotkey": _swap_hotkey,
    "local_triggerEpoch": _trigger_epoch,
    "local_upgradeRuntime": _upgrade_runtime,
}
