"""What the operator of a local network may do to its chain, beside the node's own methods."""

from collections.abc import Callable
from typing import Any

from localnet.chain import subnet
from localnet.chain.errors import INVALID_PARAMS, REFUSED, RpcError
from localnet.chain.ledger import DispatchError, Ledger
from localnet.chain.node import Node
from localnet.chain.pallets import COMMITMENTS
from localnet.chain.parameters import Parameters, as_natural

# Few enough that no listener loses its line while they are made.
ADVANCE_LIMIT = 1000
KIND_LIMITS = {"U16": 65_535, "U64": (1 << 63) - 1}


def _alter(node: Node, change: Callable[[Ledger], Any]) -> Any:
    try:
        return node.alter(change)
    except DispatchError as exc:
        raise RpcError(REFUSED, exc.name, exc.name) from exc


def _add_neuron(node: Node, given: Parameters) -> dict[str, int]:
    """Register at once and for nothing; the neuron may set weights straight away."""
    hotkey, coldkey = given.account(0, "hotkey"), given.account(1, "coldkey")
    stake = given.natural(2, "stake_rao")

    def change(ledger: Ledger) -> int:
        uid = subnet.register(ledger, node.netuid, hotkey, coldkey, last_update=0)
        ledger.put("TotalHotkeyAlpha", hotkey, node.netuid, value=stake)
        subnet.grant_permits(ledger, node.netuid)
        return uid

    return {"uid": _alter(node, change), "block": node.blocks.head.number}


def _set_stake(node: Node, given: Parameters) -> dict[str, int]:
    """Set a neuron's stake and grant the permits anew, without waiting for an epoch."""
    hotkey, stake = given.account(0, "hotkey"), given.natural(1, "stake_rao")

    def change(ledger: Ledger) -> None:
        subnet.require_uid(ledger, node.netuid, hotkey)
        ledger.put("TotalHotkeyAlpha", hotkey, node.netuid, value=stake)
        subnet.grant_permits(ledger, node.netuid)

    _alter(node, change)
    return {"block": node.blocks.head.number}


def _fund(node: Node, given: Parameters) -> dict[str, int]:
    """Give an account free balance."""
    account, rao = given.account(0, "account"), given.natural(1, "rao")
    balance = _alter(node, lambda ledger: subnet.fund(ledger, account, rao))
    return {"balance_rao": balance, "block": node.blocks.head.number}


def _advance(node: Node, given: Parameters) -> dict[str, int]:
    """Make blocks now."""
    for _ in range(given.natural(0, "blocks", ADVANCE_LIMIT)):
        node.produce()
    return {"block": node.blocks.head.number}


def _set_hyperparameter(node: Node, given: Parameters) -> dict[str, int]:
    """Set one of the subnet's hyperparameters, or one of three settings beside them."""
    name, value = given.text(0, "name"), given.required(1, "value")
    known = subnet.HYPERPARAMETERS.get(name)

    def change(ledger: Ledger) -> None:
        if name == "stake_threshold":
            ledger.put("StakeThreshold", value=as_natural(value, name, KIND_LIMITS["U64"]))
        elif name == "burn":
            ledger.put("Burn", node.netuid, value=as_natural(value, name, KIND_LIMITS["U64"]))
        elif name == "commitment_space":
            space = as_natural(value, name, 1 << 31)
            ledger.put("MaxSpace", value=space, pallet=COMMITMENTS)
        elif known is None:
            raise RpcError(INVALID_PARAMS, f"there is no hyperparameter {name}")
        else:
            ledger.put(known.item, node.netuid, value=_checked(name, known.kind, value))

    _alter(node, change)
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
