"""JSON-RPC methods for the operator of a local chain, beside those of Substrate nodes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localnet.chain import epochs, subnet
from localnet.chain.errors import INVALID_PARAMS, REFUSED, RpcError
from localnet.chain.node import Node
from localnet.chain.pallets import COMMITMENTS
from localnet.chain.parameters import Parameters, as_natural
from localnet.chain.storage import DispatchError, Storage
from localnet.chain.subtensor_pallet import SUBTENSOR
from localnet.chain.weight_calls import MAX_MECHANISMS

# The notifications of this many blocks fit into the send queue of a connection with up to four
# subscriptions.
ADVANCE_LIMIT = 1000
KIND_LIMITS = {"U16": 65_535, "U32": (1 << 32) - 1, "U64": (1 << 63) - 1}


@dataclass(frozen=True, slots=True)
class OtherValue:
    """A storage item beside the hyperparameters, and the least and the greatest value of it."""

    item: str
    limit: int
    least: int = 0
    pallet: str = SUBTENSOR
    is_per_subnet: bool = True


OTHER_VALUES = {
    "burn": OtherValue("Burn", KIND_LIMITS["U64"]),
    "collateral_lock_share": OtherValue("CollateralLockShare", KIND_LIMITS["U16"]),
    "commitment_space": OtherValue("MaxSpace", 1 << 31, pallet=COMMITMENTS, is_per_subnet=False),
    "max_epochs_per_block": OtherValue("MaxEpochsPerBlock", 255, is_per_subnet=False),
    "mechanism_count": OtherValue("MechanismCountCurrent", MAX_MECHANISMS, least=1),
    "stake_threshold": OtherValue("StakeThreshold", KIND_LIMITS["U64"], is_per_subnet=False),
}


def alter(node: Node, change: Callable[[Storage], Any]) -> Any:
    """Change storage in a block of its own; the result. Raises `RpcError` if it is refused."""
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

    return {"uid": alter(node, change), "block": node.blocks.head.number}


def _set_stake(node: Node, params: Parameters) -> dict[str, int]:
    """Set a neuron's stake and grant the validator permits anew, without waiting for an epoch."""
    hotkey, stake = params.account(0, "hotkey"), params.natural(1, "stake_rao")

    def change(storage: Storage) -> None:
        subnet.require_uid(storage, node.netuid, hotkey)
        storage.put("TotalHotkeyAlpha", hotkey, node.netuid, value=stake)
        subnet.grant_permits(storage, node.netuid)

    alter(node, change)
    return {"block": node.blocks.head.number}


def _fund(node: Node, params: Parameters) -> dict[str, int]:
    """Add to an account's free balance."""
    account, rao = params.account(0, "account"), params.natural(1, "rao")
    balance = alter(node, lambda storage: subnet.fund(storage, account, rao))
    return {"balance_rao": balance, "block": node.blocks.head.number}


def _advance(node: Node, params: Parameters) -> dict[str, int]:
    """Produce blocks now."""
    for _ in range(params.natural(0, "blocks", ADVANCE_LIMIT)):
        node.produce()
    return {"block": node.blocks.head.number}


def _set_hyperparameter(node: Node, params: Parameters) -> dict[str, int]:
    """Set a hyperparameter of the subnet or another value by name.

    The others are those in `OTHER_VALUES` and `collateral_drain_ratio`, in units of 2^-64. A new
    tempo begins an epoch anew, within no bounds: the operator has the rights of root.
    """
    name, value = params.text(0, "name"), params.required(1, "value")
    known, other = subnet.HYPERPARAMETERS.get(name), OTHER_VALUES.get(name)

    def change(storage: Storage) -> None:
        if name == "tempo":
            epochs.set_tempo(storage, node.netuid, as_natural(value, name, KIND_LIMITS["U16"]))
        elif name == "collateral_drain_ratio":
            ratio = {"bits": as_natural(value, name, KIND_LIMITS["U64"])}
            storage.put("CollateralDrainRatio", node.netuid, value=ratio)
        elif other is not None:
            keys = (node.netuid,) if other.is_per_subnet else ()
            number = as_natural(value, name, other.limit, least=other.least)
            storage.put(other.item, *keys, value=number, pallet=other.pallet)
        elif known is not None:
            storage.put(known.item, node.netuid, value=_checked(name, known.kind, value))
        else:
            raise RpcError(INVALID_PARAMS, f"unknown hyperparameter {name}")

    alter(node, change)
    return {"block": node.blocks.head.number}


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
}
