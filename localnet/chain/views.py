"""What the runtime APIs answer, read from storage at one block."""

from collections.abc import Callable
from typing import Any

from localnet.chain import subnet
from localnet.chain.ledger import Ledger
from localnet.chain.runtime import LocalRuntime
from localnet.chain.scale import Reader, compact

View = Callable[[Ledger, bytes], Any]

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


class UnknownMethod(LookupError):
    """The runtime has no such API method."""


def answer(runtime: LocalRuntime, name: str, parameters: bytes, ledger: Ledger) -> bytes:
    """The SCALE answer to `state_call`, or `UnknownMethod`."""
    if name == "Metadata_metadata_at_version":
        return _metadata(runtime, parameters)
    api, _, method = name.partition("_")
    view = VIEWS.get((api, method))
    if view is None:
        raise UnknownMethod(name)
    return runtime.answer(api, method, view(ledger, parameters))


def _metadata(runtime: LocalRuntime, parameters: bytes) -> bytes:
    wanted = int.from_bytes(Reader(parameters).take(4), "little")
    if wanted != METADATA_VERSION:
        return b"\x00"
    return b"\x01" + compact(len(runtime.metadata)) + runtime.metadata


def _netuid(parameters: bytes) -> int:
    return int.from_bytes(Reader(parameters).take(2), "little")


def metagraph(ledger: Ledger, parameters: bytes) -> dict[str, Any] | None:
    """The whole subnet in columns by uid."""
    netuid = _netuid(parameters)
    if not ledger.get("NetworksAdded", netuid):
        return None
    hotkeys = subnet.hotkeys(ledger, netuid)
    stakes = [ledger.get("TotalHotkeyAlpha", hotkey, netuid) for hotkey in hotkeys]
    zeros = [0] * len(hotkeys)
    columns = {
        "hotkeys": hotkeys,
        "coldkeys": [ledger.get("Owner", hotkey) for hotkey in hotkeys],
        "identities": [None] * len(hotkeys),
        "axons": [ledger.get("Axons", netuid, hotkey) or NOT_SERVED for hotkey in hotkeys],
        "active": [True] * len(hotkeys),
        "validator_permit": ledger.get("ValidatorPermit", netuid),
        "pruning_score": zeros,
        "last_update": ledger.get("LastUpdate", netuid),
        "block_at_registration": [
            ledger.get("BlockAtRegistration", netuid, uid) for uid in range(len(hotkeys))
        ],
        "alpha_stake": stakes,
        "tao_stake": zeros,
        "total_stake": stakes,
    }
    return _subnet(ledger, netuid) | columns | dict.fromkeys(SCORE_COLUMNS, zeros)


def _subnet(ledger: Ledger, netuid: int) -> dict[str, Any]:
    return {
        "netuid": netuid,
        "name": list(b"localnet"),
        "symbol": list(ledger.get("TokenSymbol", netuid).encode()),
        "identity": None,
        "network_registered_at": ledger.get("NetworkRegisteredAt", netuid),
        "owner_hotkey": ledger.get("SubnetOwnerHotkey", netuid),
        "owner_coldkey": ledger.get("SubnetOwner", netuid),
        "block": ledger.number,
        "tempo": ledger.get("Tempo", netuid),
        "last_step": ledger.get("LastEpochBlock", netuid),
        "blocks_since_last_step": ledger.get("BlocksSinceLastStep", netuid),
        "alpha_in": 1,
        "tao_in": 1,
        "moving_price": {"bits": 0},
        "num_uids": ledger.get("SubnetworkN", netuid),
        "max_uids": ledger.get("MaxAllowedUids", netuid),
    }


def neurons(ledger: Ledger, parameters: bytes) -> list[dict[str, Any]]:
    """Every neuron, without weights and bonds."""
    netuid = _netuid(parameters)
    permits = ledger.get("ValidatorPermit", netuid)
    updates = ledger.get("LastUpdate", netuid)
    found = []
    for uid, hotkey in enumerate(subnet.hotkeys(ledger, netuid)):
        coldkey = ledger.get("Owner", hotkey)
        neuron = {
            "hotkey": hotkey,
            "coldkey": coldkey,
            "uid": uid,
            "netuid": netuid,
            "active": True,
            "axon_info": ledger.get("Axons", netuid, hotkey) or NOT_SERVED,
            "prometheus_info": NO_PROMETHEUS,
            "stake": [(coldkey, ledger.get("TotalHotkeyAlpha", hotkey, netuid))],
            "validator_trust": 0,
            "last_update": updates[uid],
            "validator_permit": permits[uid],
        }
        found.append(neuron | dict.fromkeys(SCORES, 0))
    return found


def hyperparameters(ledger: Ledger, parameters: bytes) -> list[dict[str, Any]] | None:
    """Every hyperparameter with its kind."""
    netuid = _netuid(parameters)
    if not ledger.get("NetworksAdded", netuid):
        return None
    return [
        {"name": list(name.encode()), "value": {kept.kind: ledger.get(kept.item, netuid)}}
        for name, kept in subnet.HYPERPARAMETERS.items()
    ]


def next_epoch(ledger: Ledger, parameters: bytes) -> int | None:
    """The block of the next epoch."""
    return subnet.next_epoch(ledger, _netuid(parameters))


def fee(_ledger: Ledger, _parameters: bytes) -> dict[str, Any]:
    """Nothing costs anything here."""
    return {"weight": {"ref_time": 1, "proof_size": 1}, "class": "Normal", "partial_fee": 0}


VIEWS: dict[tuple[str, str], View] = {
    ("SubnetInfoRuntimeApi", "get_metagraph"): metagraph,
    ("SubnetInfoRuntimeApi", "get_subnet_hyperparams_v3"): hyperparameters,
    ("SubnetInfoRuntimeApi", "get_next_epoch_start_block"): next_epoch,
    ("NeuronInfoRuntimeApi", "get_neurons_lite"): neurons,
    ("TransactionPaymentApi", "query_info"): fee,
}
