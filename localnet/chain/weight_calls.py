"""The calls that set weights, in plain text or encrypted, and the reveal of encrypted ones.

A subnet has one or more mechanisms; the weights and commits of each are stored under an index of
its own. The local chain has no random beacon, so it cannot decrypt: its operator supplies the
content of a validator's commits. Commits whose content is not supplied in the epoch of their
reveal expire without an event.
"""

from localnet.chain import subnet, weights
from localnet.chain.pallets import LOCAL
from localnet.chain.scale import blake2_256
from localnet.chain.storage import Arguments, DispatchError, Event, Storage, as_bytes
from localnet.chain.subtensor_pallet import SUBTENSOR

# The distance between the indices of two mechanisms of the same subnet.
MECHANISM_STRIDE = 4096
MAX_MECHANISMS = 8
# Expired commits are looked for in this many past epochs.
EXPIRY_EPOCHS = 100


def mechanism_index(netuid: int, mechanism: int) -> int:
    """The key of a mechanism's weights, commits and updates; the netuid for the first one."""
    return mechanism * MECHANISM_STRIDE + netuid


def set_weights(storage: Storage, signer: str, arguments: Arguments) -> list[Event]:
    """Set the weights of a validator in plain text."""
    netuid, index = arguments["netuid"], _required_index(storage, arguments)
    if storage.get("CommitRevealWeightsEnabled", netuid):
        raise DispatchError("CommitRevealEnabled")
    uid = subnet.require_uid(storage, netuid, signer)
    setter, limits = _setter(storage, netuid, index, uid, signer), _limits(storage, netuid)
    row, version_key = (arguments["dests"], arguments["weights"]), arguments["version_key"]
    problem = weights.problem(setter, limits, *row, version_key)
    if problem:
        raise DispatchError(problem)
    storage.put("Weights", index, uid, value=weights.scaled_row(*row))
    _record_update(storage, netuid, index, uid)
    return [(SUBTENSOR, {"WeightsSet": (index, uid)})]


def commit_timelocked_weights(storage: Storage, signer: str, arguments: Arguments) -> list[Event]:
    """Store weights that are encrypted until a round of the random beacon."""
    netuid, encrypted = arguments["netuid"], as_bytes(arguments["commit"])
    index = _required_index(storage, arguments)
    if not storage.get("CommitRevealWeightsEnabled", netuid):
        raise DispatchError("CommitRevealDisabled")
    if arguments["commit_reveal_version"] != storage.get("CommitRevealWeightsVersion"):
        raise DispatchError("IncorrectCommitRevealVersion")
    if len(encrypted) > weights.COMMIT_BYTES_LIMIT:
        raise DispatchError("CommitPayloadTooLarge")
    uid = subnet.require_uid(storage, netuid, signer)
    setter, limits = _setter(storage, netuid, index, uid, signer), _limits(storage, netuid)
    if setter.stake < limits.stake_threshold:
        raise DispatchError("NotEnoughStakeToSetWeights")
    if weights.is_rate_limited(setter, limits):
        raise DispatchError("CommittingWeightsTooFast")
    _store_commit(storage, netuid, index, signer, encrypted, arguments["reveal_round"])
    _record_update(storage, netuid, index, uid)
    committed = (signer, index, list(blake2_256(encrypted)), arguments["reveal_round"])
    return [(SUBTENSOR, {"TimelockedWeightsCommitted": committed})]


def reveal_due(storage: Storage, netuid: int) -> list[Event]:
    """Reveal the commits that are as many epochs old as the reveal period, where possible."""
    due = storage.get("SubnetEpochIndex", netuid) - storage.get("RevealPeriodEpochs", netuid)
    if due < 0:
        return []
    events: list[Event] = []
    for mechanism in range(storage.get("MechanismCountCurrent", netuid)):
        index = mechanism_index(netuid, mechanism)
        commits = storage.get("TimelockedWeightCommits", index, due)
        waiting = []
        for commit in commits:
            revealed = _reveal(storage, netuid, index, hotkey=commit[0], reveal_round=commit[3])
            events += revealed
            if not revealed:
                waiting.append((*commit[:2], list(as_bytes(commit[2])), commit[3]))
        if len(waiting) < len(commits):
            storage.put("TimelockedWeightCommits", index, due, value=waiting or None)
            for commit in commits:
                storage.put("OpenedCommits", index, commit[0], value=None, pallet=LOCAL)
    return events


def discard_expired(storage: Storage, netuid: int) -> None:
    """Remove the commits whose epoch of reveal is over."""
    due = storage.get("SubnetEpochIndex", netuid) - storage.get("RevealPeriodEpochs", netuid)
    for mechanism in range(storage.get("MechanismCountCurrent", netuid)):
        index = mechanism_index(netuid, mechanism)
        for epoch in range(max(0, due - EXPIRY_EPOCHS), due):
            if storage.get("TimelockedWeightCommits", index, epoch):
                storage.put("TimelockedWeightCommits", index, epoch, value=None)


def _reveal(
    storage: Storage, netuid: int, index: int, *, hotkey: str, reveal_round: int
) -> list[Event]:
    """Reveal one commit; no event as long as its content is not known."""
    failed: list[Event] = [(SUBTENSOR, {"TimelockRevealFailed": (index, hotkey, reveal_round)})]
    to_fail = storage.get("RevealsToFail", pallet=LOCAL)
    if to_fail:
        storage.put("RevealsToFail", value=to_fail - 1, pallet=LOCAL)
        return failed
    opened = storage.get("OpenedCommits", index, hotkey, pallet=LOCAL)
    if opened is None:
        return []
    uid = storage.get("Uids", netuid, hotkey)
    if uid is None:
        return failed
    uids, values = [uid for uid, _ in opened["row"]], [value for _, value in opened["row"]]
    setter, limits = _setter(storage, netuid, index, uid, hotkey), _limits(storage, netuid)
    if weights.problem(setter.without_update(), limits, uids, values, opened["version_key"]):
        return failed
    storage.put("Weights", index, uid, value=weights.scaled_row(uids, values))
    return [
        (SUBTENSOR, {"WeightsSet": (index, uid)}),
        (SUBTENSOR, {"TimelockedWeightsRevealed": (index, hotkey)}),
    ]


def _required_index(storage: Storage, arguments: Arguments) -> int:
    netuid, mechanism = arguments["netuid"], arguments.get("mecid", 0)
    subnet.require_subnet(storage, netuid)
    if mechanism >= storage.get("MechanismCountCurrent", netuid):
        raise DispatchError("MechanismDoesNotExist")
    return mechanism_index(netuid, mechanism)


def _setter(
    storage: Storage, netuid: int, index: int, uid: int, hotkey: str
) -> weights.WeightSetter:
    updated = _updates(storage, netuid, index)[uid]
    return weights.WeightSetter(
        uid=uid,
        stake=storage.get("TotalHotkeyAlpha", hotkey, netuid),
        has_permit=storage.get("ValidatorPermit", netuid)[uid],
        blocks_since_update=storage.number - updated if updated else None,
    )


def _limits(storage: Storage, netuid: int) -> weights.WeightLimits:
    return weights.WeightLimits(
        neurons=storage.get("SubnetworkN", netuid),
        stake_threshold=storage.get("StakeThreshold"),
        rate_limit=storage.get("WeightsSetRateLimit", netuid),
        version_key=storage.get("WeightsVersionKey", netuid),
        min_weights=storage.get("MinAllowedWeights", netuid),
        max_weight=storage.get("MaxWeightsLimit", netuid),
    )


def _updates(storage: Storage, netuid: int, index: int) -> list[int]:
    """The block of each neuron's last update of a mechanism, by uid; 0 for none."""
    stored = list(storage.get("LastUpdate", index))
    return stored + [0] * (storage.get("SubnetworkN", netuid) - len(stored))


def _record_update(storage: Storage, netuid: int, index: int, uid: int) -> None:
    updates = _updates(storage, netuid, index)
    updates[uid] = storage.number
    storage.put("LastUpdate", index, value=updates)


def _store_commit(
    storage: Storage, netuid: int, index: int, hotkey: str, encrypted: bytes, reveal_round: int
) -> None:
    epoch = storage.get("SubnetEpochIndex", netuid)
    stored = storage.get("TimelockedWeightCommits", index, epoch)
    commits = [(*one[:2], list(as_bytes(one[2])), one[3]) for one in stored]
    unrevealed = sum(1 for commit in commits if commit[0] == hotkey)
    if unrevealed >= weights.UNREVEALED_COMMITS_LIMIT:
        raise DispatchError("TooManyUnrevealedCommits")
    commits.append((hotkey, storage.number, list(encrypted), reveal_round))
    storage.put("TimelockedWeightCommits", index, epoch, value=commits)
