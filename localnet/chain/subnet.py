"""The state of a subnet: its neurons and validator permits."""

from dataclasses import dataclass

from localnet.chain.storage import DispatchError, Storage

PALLET_SYSTEM = "System"


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """The storage item of a hyperparameter, and its variant of `HyperparamValue` for clients."""

    item: str
    kind: str


HYPERPARAMETERS = {
    "immunity_period": Hyperparameter("ImmunityPeriod", "U16"),
    "min_allowed_weights": Hyperparameter("MinAllowedWeights", "U16"),
    "max_weights_limit": Hyperparameter("MaxWeightsLimit", "U16"),
    "tempo": Hyperparameter("Tempo", "U16"),
    "weights_version": Hyperparameter("WeightsVersionKey", "U64"),
    "weights_rate_limit": Hyperparameter("WeightsSetRateLimit", "U64"),
    "activity_cutoff": Hyperparameter("ActivityCutoff", "U16"),
    "activity_cutoff_factor": Hyperparameter("ActivityCutoffFactorMilli", "U32"),
    "registration_allowed": Hyperparameter("NetworkRegistrationAllowed", "Bool"),
    "serving_rate_limit": Hyperparameter("ServingRateLimit", "U64"),
    "max_validators": Hyperparameter("MaxAllowedValidators", "U16"),
    "commit_reveal_period": Hyperparameter("RevealPeriodEpochs", "U64"),
    "commit_reveal_weights_enabled": Hyperparameter("CommitRevealWeightsEnabled", "Bool"),
    "max_allowed_uids": Hyperparameter("MaxAllowedUids", "U16"),
}


def create_subnet(storage: Storage, netuid: int, tempo: int) -> None:
    """Create the subnet, in the genesis block."""
    storage.put("NetworksAdded", netuid, value=True)
    storage.put("Tempo", netuid, value=tempo)
    storage.put("TokenSymbol", netuid, value=list("τ".encode()))


def grant_permits(storage: Storage, netuid: int) -> None:
    """Give validator permits to the `MaxAllowedValidators` neurons with the most stake above 0."""
    stakes = [
        (storage.get("TotalHotkeyAlpha", hotkey, netuid), uid)
        for uid, hotkey in enumerate(hotkeys(storage, netuid))
    ]
    ranked = sorted(stakes, key=lambda entry: (-entry[0], entry[1]))
    limit = storage.get("MaxAllowedValidators", netuid)
    permitted = {uid for stake, uid in ranked[:limit] if stake > 0}
    storage.put("ValidatorPermit", netuid, value=[uid in permitted for _, uid in stakes])


def hotkeys(storage: Storage, netuid: int) -> list[str]:
    """The neurons' hotkeys by uid."""
    return [storage.get("Keys", netuid, uid) for uid in range(storage.get("SubnetworkN", netuid))]


def require_subnet(storage: Storage, netuid: int) -> None:
    """Raise `DispatchError` if the subnet does not exist."""
    if not storage.get("NetworksAdded", netuid):
        raise DispatchError("SubnetNotExists")


def require_uid(storage: Storage, netuid: int, hotkey: str) -> int:
    """The uid of the neuron. Raises `DispatchError` if the hotkey is not registered."""
    uid = storage.get("Uids", netuid, hotkey)
    if uid is None:
        raise DispatchError("HotKeyNotRegisteredInSubNet")
    return int(uid)


def register(storage: Storage, netuid: int, hotkey: str, coldkey: str, *, last_update: int) -> int:
    """Register a neuron; its uid. Raises `DispatchError`."""
    require_subnet(storage, netuid)
    if storage.get("Uids", netuid, hotkey) is not None:
        raise DispatchError("HotKeyAlreadyRegisteredInSubNet")
    uid = int(storage.get("SubnetworkN", netuid))
    if uid >= storage.get("MaxAllowedUids", netuid):
        raise DispatchError("NoNeuronIdAvailable")
    storage.put("SubnetworkN", netuid, value=uid + 1)
    storage.put("Uids", netuid, hotkey, value=uid)
    storage.put("Keys", netuid, uid, value=hotkey)
    storage.put("Owner", hotkey, value=coldkey)
    storage.put("IsNetworkMember", hotkey, netuid, value=True)
    storage.put("BlockAtRegistration", netuid, uid, value=storage.number)
    storage.put("ValidatorPermit", netuid, value=[*storage.get("ValidatorPermit", netuid), False])
    storage.put("LastUpdate", netuid, value=[*storage.get("LastUpdate", netuid), last_update])
    return uid


def fund(storage: Storage, account: str, rao: int) -> int:
    """Add to an account's free balance, or subtract if negative; the new balance."""
    info = storage.get("Account", account, pallet=PALLET_SYSTEM)
    info["data"]["free"] += rao
    info["providers"] = 1
    storage.put("Account", account, value=info, pallet=PALLET_SYSTEM)
    return int(info["data"]["free"])
