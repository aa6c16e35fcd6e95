"""The subnet's own bookkeeping: who is a neuron, who may validate, when epochs run."""

from dataclasses import dataclass

from localnet.chain.ledger import DispatchError, Ledger

PALLET_SYSTEM = "System"


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """Where a hyperparameter is stored and which kind of value clients see."""

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
    "registration_allowed": Hyperparameter("NetworkRegistrationAllowed", "Bool"),
    "serving_rate_limit": Hyperparameter("ServingRateLimit", "U64"),
    "max_validators": Hyperparameter("MaxAllowedValidators", "U16"),
    "commit_reveal_period": Hyperparameter("RevealPeriodEpochs", "U64"),
    "commit_reveal_weights_enabled": Hyperparameter("CommitRevealWeightsEnabled", "Bool"),
    "max_allowed_uids": Hyperparameter("MaxAllowedUids", "U16"),
}


def found(ledger: Ledger, netuid: int, tempo: int) -> None:
    """Create the subnet in the first block."""
    ledger.put("NetworksAdded", netuid, value=True)
    ledger.put("Tempo", netuid, value=tempo)
    ledger.put("TokenSymbol", netuid, value=list("τ".encode()))


def step(ledger: Ledger, netuid: int) -> None:
    """What happens to the subnet at the start of every block; an epoch where one begins.

    The schedule is the network's: an epoch begins where (block + netuid + 1) mod (tempo + 1)
    is tempo.
    """
    tempo = ledger.get("Tempo", netuid)
    if tempo and (ledger.number + netuid + 1) % (tempo + 1) == tempo:
        ledger.put("LastEpochBlock", netuid, value=ledger.number)
        ledger.put("SubnetEpochIndex", netuid, value=ledger.get("SubnetEpochIndex", netuid) + 1)
        grant_permits(ledger, netuid)
    since = ledger.number - ledger.get("LastEpochBlock", netuid)
    ledger.put("BlocksSinceLastStep", netuid, value=since)


def next_epoch(ledger: Ledger, netuid: int) -> int | None:
    """The block of the next epoch; None where epochs never run."""
    tempo = int(ledger.get("Tempo", netuid))
    if not tempo:
        return None
    return ledger.number + tempo - (ledger.number + netuid + 1) % (tempo + 1)


def grant_permits(ledger: Ledger, netuid: int) -> None:
    """Give the validator permits to the neurons with the most stake; none without stake."""
    stakes = [
        (ledger.get("TotalHotkeyAlpha", hotkey, netuid), uid)
        for uid, hotkey in enumerate(hotkeys(ledger, netuid))
    ]
    ranked = sorted(stakes, key=lambda entry: (-entry[0], entry[1]))
    seats = ledger.get("MaxAllowedValidators", netuid)
    permitted = {uid for stake, uid in ranked[:seats] if stake > 0}
    ledger.put("ValidatorPermit", netuid, value=[uid in permitted for _, uid in stakes])


def hotkeys(ledger: Ledger, netuid: int) -> list[str]:
    """The neurons' hotkeys by uid."""
    return [ledger.get("Keys", netuid, uid) for uid in range(ledger.get("SubnetworkN", netuid))]


def require_subnet(ledger: Ledger, netuid: int) -> None:
    """Refuse a subnet that does not exist."""
    if not ledger.get("NetworksAdded", netuid):
        raise DispatchError("SubnetNotExists")


def require_uid(ledger: Ledger, netuid: int, hotkey: str) -> int:
    """The neuron's uid; refuse a hotkey that is no neuron."""
    uid = ledger.get("Uids", netuid, hotkey)
    if uid is None:
        raise DispatchError("HotKeyNotRegisteredInSubNet")
    return int(uid)


def register(ledger: Ledger, netuid: int, hotkey: str, coldkey: str, *, last_update: int) -> int:
    """Add a neuron at the next free uid."""
    require_subnet(ledger, netuid)
    if ledger.get("Uids", netuid, hotkey) is not None:
        raise DispatchError("HotKeyAlreadyRegisteredInSubNet")
    uid = int(ledger.get("SubnetworkN", netuid))
    if uid >= ledger.get("MaxAllowedUids", netuid):
        raise DispatchError("NoNeuronIdAvailable")
    ledger.put("SubnetworkN", netuid, value=uid + 1)
    ledger.put("Uids", netuid, hotkey, value=uid)
    ledger.put("Keys", netuid, uid, value=hotkey)
    ledger.put("Owner", hotkey, value=coldkey)
    ledger.put("IsNetworkMember", hotkey, netuid, value=True)
    ledger.put("BlockAtRegistration", netuid, uid, value=ledger.number)
    ledger.put("ValidatorPermit", netuid, value=[*ledger.get("ValidatorPermit", netuid), False])
    ledger.put("LastUpdate", netuid, value=[*ledger.get("LastUpdate", netuid), last_update])
    return uid


def fund(ledger: Ledger, account: str, rao: int) -> int:
    """Add free balance to an account, or take it with a negative amount; the new balance."""
    info = ledger.get("Account", account, pallet=PALLET_SYSTEM)
    info["data"]["free"] += rao
    info["providers"] = 1
    ledger.put("Account", account, value=info, pallet=PALLET_SYSTEM)
    return int(info["data"]["free"])
