"""JSON-RPC methods for the operator of a local chain, beside those of Substrate nodes."""

from collections.abc import Callable
from typing import Any

from localnet.chain import epochs, subnet
from localnet.chain.errors import INVALID_PARAMS, REFUSED, RpcError
from localnet.chain.node import Node
from localnet.chain.pallets import COMMITMENTS
from localnet.chain.parameters import Parameters, as_natural
from localnet.chain.storage import DispatchError, Storage

# The notifications of this many blocks fit into the send queue of a connection with up to four
# subscriptions.
ADVANCE_LIMIT = 1000
KIND_LIMITS = {"U16": 65_535, "U32": (1 << 32) - 1, "U64": (1 << 63) - 1}


def _alter(node: Node, change: Callable[[Storage], Any]) -> Any:
    try:
        return node.alter(change)
    except DispatchError as exc:
        raise RpcError(REFUSED, exc.name, exc.name) from exc


def _add_neuron(node: Node, params: Parameters) -> dict[str, int]:
    """Register a neuron without a burn; it may set weights at once."""
    hotkey, coldkey = params.account(0, "hotkey"), params.account(1, "coldkey")
    stake = params.natural(2, "stake_rao")

    def change(storage: Storage) -> int:
        uid = subnet.register(storage, node.netuid, hotkey, coldkey, last_update=0)
        storage.put("TotalHotkeyAlpha", hotkey, node.netuid, value=stake)
        subnet.grant_permits(storage, node.netuid)
        return uid

    return {"uid": _alter(node, change), "block": node.blocks.head.number}


def _set_stake(node: Node, params: Parameters) -> dict[str, int]:
    """Set a neuron's stake and grant the validator permits anew, without waiting for an epoch."""
    hotkey, stake = params.account(0, "hotkey"), params.natural(1, "stake_rao")

    def change(storage: Storage) -> None:
        subnet.require_uid(storage, node.netuid, hotkey)
        storage.put("TotalHotkeyAlpha", hotkey, node.netuid, value=stake)
        subnet.grant_permits(storage, node.netuid)

    _alter(node, change)
    return {"block": node.blocks.head.number}


def _fund(node: Node, params: Parameters) -> dict[str, int]:
    """Add to an account's free balance."""
    account, rao = params.account(0, "account"), params.natural(1, "rao")
    balance = _alter(node, lambda storage: subnet.fund(storage, account, rao))
    return {"balance_rao": balance, "block": node.blocks.head.number}


def _advance(node: Node, params: Parameters) -> dict[str, int]:
    """Produce blocks now."""
    for _ in range(params.natural(0, "blocks", ADVANCE_LIMIT)):
        node.produce()
    return {"block": node.blocks.head.number}


def _set_hyperparameter(node: Node, params: Parameters) -> dict[str, int]:
    """Set a hyperparameter of the subnet or another value by name.

    The others are `stake_threshold`, `burn`, `commitment_space` and `max_epochs_per_block`. A new
    tempo begins an epoch anew, within no bounds: the operator has the rights of root.
    """
    name, value = params.text(0, "name"), params.required(1, "value")
    known = subnet.HYPERPARAMETERS.get(name)

    def change(storage: Storage) -> None:
        if name == "stake_threshold":
            storage.put("StakeThreshold", value=as_natural(value, name, KIND_LIMITS["U64"]))
        elif name == "burn":
            storage.put("Burn", node.netuid, value=as_natural(value, name, KIND_LIMITS["U64"]))
        elif name == "commitment_space":
            space = as_natural(value, name, 1 << 31)
            storage.put("MaxSpace", value=space, pallet=COMMITMENTS)
        elif name == "max_epochs_per_block":
            storage.put("MaxEpochsPerBlock", value=as_natural(value, name, 255))
        elif name == "tempo":
            epochs.set_tempo(storage, node.netuid, as_natural(value, name, KIND_LIMITS["U16"]))
        elif known is None:
            raise RpcError(INVALID_PARAMS, f"unknown hyperparameter {name}")
        else:
            storage.put(known.item, node.netuid, value=_checked(name, known.kind, value))

    _alter(node, change)
    return {"block": node.blocks.head.number}


def _set_owner(node: Node, params: Parameters) -> dict[str, int]:
    """Make a coldkey the owner of the subnet."""
    owner = params.account(0, "coldkey")
    _alter(node, lambda storage: storage.put("SubnetOwner", node.netuid, value=owner))
    return {"block": node.blocks.head.number}


def _trigger_epoch(node: Node, params: Parameters) -> dict[str, int]:
    """Run an epoch after this many more blocks, whatever the schedule; the block of it."""
    blocks = params.natural(0, "blocks", 1 << 32)

    def change(storage: Storage) -> int:
        due = storage.number + blocks
        storage.put("PendingEpochAt", node.netuid, value=due)
        return due

    return {"epoch_block": _alter(node, change), "block": node.blocks.head.number}


def _checked(name: str, kind: str, value: Any) -> int | bool:
    if kind != "Bool":
        return as_natural(value, name, KIND_LIMITS[kind])
    if not isinstance(value, bool):
        raise RpcError(INVALID_PARAMS, f"{name} must be true or false")
    return value


METHODS: dict[str, Callable[[Node, Parameters], Any]] = {
    "local_addNeuron": _add_neuron,
    "local_setStake": _set_stake,
    "local_fund": _fund,
    "local_advance": _advance,
    "local_setHyperparameter": _set_hyperparameter,
    "local_setOwner": _set_owner,
    "local_triggerEpoch": _trigger_epoch,
}
