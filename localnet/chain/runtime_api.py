"""The methods of the runtime APIs, computed from storage at one block."""

from collections.abc import Callable
from typing import Any

from localnet.chain import collateral, epochs, subnet
from localnet.chain.runtime import LocalRuntime
from localnet.chain.scale import Reader, compact
from localnet.chain.storage import Storage

ApiHandler = Callable[[Storage, bytes], Any]

METADATA_VERSION = 15
NOT_SERVED = {
    "block": 0,
    "version": 0,
    "ip": 0,
    "port": 0,
    "ip_type": 4,
    "protocol": 4,
    "placeholder1": 0,
    "placeholder2": 0,
}
NO_PROMETHEUS = {"block": 0, "version": 0, "ip": 0, "port": 0, "ip_type": 4}
SCORES = ("rank", "emission", "incentive", "consensus", "trust", "dividends", "pruning_score")
SCORE_COLUMNS = ("rank", "emission", "incentives", "consensus", "trust", "dividends")


class UnknownMethodError(LookupError):
    """The runtime has no such API method."""


def answer(runtime: LocalRuntime, name: str, parameters: bytes, storage: Storage) -> bytes:
    """The SCALE-encoded result of `state_call`. Raises `UnknownMethodError`."""
    if name == "Metadata_metadata_at_version":
        return _metadata(runtime, parameters)
    api, _, method = name.partition("_")
    handler = API_HANDLERS.get((api, method))
    if handler is None:
        raise UnknownMethodError(name)
    value = handler(storage, parameters)
    return runtime.answer(api, method, value)


def _metadata(runtime: LocalRuntime, parameters: bytes) -> bytes:
    version = int.from_bytes(Reader(parameters).take(4), "little")
    if version != METADATA_VERSION:
        return b"\x00"
    return b"\x01" + compact(len(runtime.metadata)) + runtime.metadata


def _netuid(parameters: bytes) -> int:
    return int.from_bytes(Reader(parameters).take(2), "little")


def metagraph(storage: Storage, parameters: bytes) -> dict[str, Any] | None:
    """The metagraph: each column is a list by uid; None if there is no such subnet."""
    netuid = _netuid(parameters)
    if not storage.get("NetworksAdded", netuid):
        return None
    hotkeys = subnet.hotkeys(storage, netuid)
    stakes = [storage.get("TotalHotkeyAlpha", hotkey, netuid) for hotkey in hotkeys]
    zeros = [0] * len(hotkeys)
    coldkeys = [storage.get("Owner", hotkey) for hotkey in hotkeys]
    bonds = [
        collateral.bond(storage, netuid, hotkey, coldkey)
        for hotkey, coldkey in zip(hotkeys, coldkeys, strict=True)
    ]
    columns = {
        "hotkeys": hotkeys,
        "coldkeys": coldkeys,
        "identities": [None] * len(hotkeys),
        "axons": [storage.get("Axons", netuid, hotkey) or NOT_SERVED for hotkey in hotkeys],
        "active": [True] * len(hotkeys),
        "validator_permit": storage.get("ValidatorPermit", netuid),
        "pruning_score": zeros,
        "last_update": storage.get("LastUpdate", netuid),
        "block_at_registration": [
            storage.get("BlockAtRegistration", netuid, uid) for uid in range(len(hotkeys))
        ],
        "alpha_stake": stakes,
        "tao_stake": zeros,
        "total_stake": stakes,
        "collateral_locked": [bond["locked"] for bond in bonds],
        "collateral_min": [bond["min_locked"] for bond in bonds],
        "collateral_earned": [bond["earned"] for bond in bonds],
    }
    return _subnet(storage, netuid) | columns | dict.fromkeys(SCORE_COLUMNS, zeros)


def _subnet(storage: Storage, netuid: int) -> dict[str, Any]:
    return {
        "netuid": netuid,
        "name": list(b"localnet"),
        "symbol": list(storage.get("TokenSymbol", netuid).encode()),
        "identity": None,
        "network_registered_at": storage.get("NetworkRegisteredAt", netuid),
        "owner_hotkey": storage.get("SubnetOwnerHotkey", netuid),
        "owner_coldkey": storage.get("SubnetOwner", netuid),
        "block": storage.number,
        "tempo": storage.get("Tempo", netuid),
        "last_step": storage.get("LastEpochBlock", netuid),
        "blocks_since_last_step": storage.get("BlocksSinceLastStep", netuid),
        "alpha_in": 1,
        "tao_in": 1,
        "moving_price": {"bits": 0},
        "num_uids": storage.get("SubnetworkN", netuid),
        "max_uids": storage.get("MaxAllowedUids", netuid),
    }


def neurons(storage: Storage, parameters: bytes) -> list[dict[str, Any]]:
    """Every neuron, without weights and bonds."""
    netuid = _netuid(parameters)
    permits = storage.get("ValidatorPermit", netuid)
    updates = storage.get("LastUpdate", netuid)
    found = []
    for uid, hotkey in enumerate(subnet.hotkeys(storage, netuid)):
        coldkey = storage.get("Owner", hotkey)
        neuron = {
            "hotkey": hotkey,
            "coldkey": coldkey,
            "uid": uid,
            "netuid": netuid,
            "active": True,
            "axon_info": storage.get("Axons", netuid, hotkey) or NOT_SERVED,
            "prometheus_info": NO_PROMETHEUS,
            "stake": [(coldkey, storage.get("TotalHotkeyAlpha", hotkey, netuid))],
            "validator_trust": 0,
            "last_update": updates[uid],
            "validator_permit": permits[uid],
        }
        found.append(neuron | dict.fromkeys(SCORES, 0))
    return found


def hyperparameters(storage: Storage, parameters: bytes) -> list[dict[str, Any]] | None:
    """Every hyperparameter with its value; None if there is no such subnet."""
    netuid = _netuid(parameters)
    if not storage.get("NetworksAdded", netuid):
        return None
    return [
        {
            "name": list(name.encode()),
            "value": {parameter.kind: storage.get(parameter.item, netuid)},
        }
        for name, parameter in subnet.HYPERPARAMETERS.items()
    ]


def next_epoch(storage: Storage, parameters: bytes) -> int | None:
    """The block of the next epoch."""
    return epochs.schedule(storage, _netuid(parameters)).next_epoch


def fee(_storage: Storage, _parameters: bytes) -> dict[str, Any]:
    """The fee of an extrinsic, which is 0 on a local chain."""
    return {"weight": {"ref_time": 1, "proof_size": 1}, "class": "Normal", "partial_fee": 0}


API_HANDLERS: dict[tuple[str, str], ApiHandler] = {
    ("SubnetInfoRuntimeApi", "get_metagraph"): metagraph,
    ("SubnetInfoRuntimeApi", "get_subnet_hyperparams_v3"): hyperparameters,
    ("SubnetInfoRuntimeApi", "get_next_epoch_start_block"): next_epoch,
    ("NeuronInfoRuntimeApi", "get_neurons_lite"): neurons,
    ("TransactionPaymentApi", "query_info"): fee,
}
