"""What each call does: check as the network checks, then write."""

from collections.abc import Callable
from typing import Any

from localnet.chain import subnet, weights
from localnet.chain.ledger import DispatchError, Ledger
from localnet.chain.pallets import COMMITMENTS, MAX_COMMITMENT_FIELDS, SUBTENSOR
from localnet.chain.scale import blake2_256

Event = tuple[str, dict[str, Any]]
Arguments = dict[str, Any]
Call = Callable[[Ledger, str, Arguments], list[Event]]

MIN_COMMITMENT_SPACE = 100
RESET_AXON = {"ip": 0, "port": 1}


def dispatch(
    ledger: Ledger, signer: str, pallet: str, function: str, arguments: Arguments
) -> list[Event]:
    """Do one call for its signer; the events it leaves behind, or `DispatchError`."""
    return CALLS[pallet, function](ledger, signer, arguments)


def remark(_ledger: Ledger, _signer: str, _arguments: Arguments) -> list[Event]:
    """Nothing but a place on the chain for some bytes."""
    return []


def transfer_keep_alive(ledger: Ledger, signer: str, arguments: Arguments) -> list[Event]:
    """Move free balance from the signer to another account."""
    destination, amount = arguments["dest"], arguments["value"]
    if isinstance(destination, dict):
        destination = destination["Id"]
    _pay(ledger, signer, amount, DispatchError("InsufficientBalance", "Balances"))
    subnet.fund(ledger, destination, amount)
    return []


def burned_register(ledger: Ledger, signer: str, arguments: Arguments) -> list[Event]:
    """The coldkey pays the burn and its hotkey becomes a neuron."""
    netuid, hotkey = arguments["netuid"], arguments["hotkey"]
    subnet.require_subnet(ledger, netuid)
    if not ledger.get("NetworkRegistrationAllowed", netuid):
        raise DispatchError("SubNetRegistrationDisabled")
    uid = subnet.register(ledger, netuid, hotkey, signer, last_update=ledger.number)
    _pay(ledger, signer, ledger.get("Burn", netuid), DispatchError("NotEnoughBalanceToStake"))
    return [(SUBTENSOR, {"NeuronRegistered": (netuid, uid, hotkey)})]


def serve_axon(ledger: Ledger, signer: str, arguments: Arguments) -> list[Event]:
    """Publish where a neuron listens."""
    netuid = arguments["netuid"]
    if ledger.get("Uids", netuid, signer) is None:
        raise DispatchError("HotKeyNotRegisteredInNetwork")
    _require_address(arguments)
    before = ledger.get("Axons", netuid, signer)
    limit = ledger.get("ServingRateLimit", netuid)
    if before and ledger.number - before["block"] < limit:
        raise DispatchError("ServingRateLimitExceeded")
    axon = {name: value for name, value in arguments.items() if name != "netuid"}
    ledger.put("Axons", netuid, signer, value=axon | {"block": ledger.number})
    return [(SUBTENSOR, {"AxonServed": (netuid, signer)})]


def set_weights(ledger: Ledger, signer: str, arguments: Arguments) -> list[Event]:
    """Set a row of weights in the open."""
    netuid = arguments["netuid"]
    _require_first_mechanism(ledger, arguments)
    if ledger.get("CommitRevealWeightsEnabled", netuid):
        raise DispatchError("CommitRevealEnabled")
    uid = subnet.require_uid(ledger, netuid, signer)
    uids, values = arguments["dests"], arguments["weights"]
    setter, limits = _setter(ledger, netuid, uid, signer), _limits(ledger, netuid)
    problem = weights.problem(setter, limits, uids, values, arguments["version_key"])
    if problem:
        raise DispatchError(problem)
    ledger.put("Weights", netuid, uid, value=weights.stored(uids, values))
    _updated(ledger, netuid, uid)
    return [(SUBTENSOR, {"WeightsSet": (netuid, uid)})]


def commit_timelocked_weights(ledger: Ledger, signer: str, arguments: Arguments) -> list[Event]:
    """Keep a row of weights that is sealed until a drand round. Nothing here can unseal it."""
    netuid, sealed = arguments["netuid"], _bytes(arguments["commit"])
    _require_first_mechanism(ledger, arguments)
    if not ledger.get("CommitRevealWeightsEnabled", netuid):
        raise DispatchError("CommitRevealDisabled")
    if arguments["commit_reveal_version"] != ledger.get("CommitRevealWeightsVersion"):
        raise DispatchError("IncorrectCommitRevealVersion")
    if len(sealed) > weights.COMMIT_BYTES_LIMIT:
        raise DispatchError("CommitPayloadTooLarge")
    uid = subnet.require_uid(ledger, netuid, signer)
    setter, limits = _setter(ledger, netuid, uid, signer), _limits(ledger, netuid)
    if setter.stake < limits.stake_threshold:
        raise DispatchError("NotEnoughStakeToSetWeights")
    if weights.too_soon(setter, limits):
        raise DispatchError("CommittingWeightsTooFast")
    _keep_commit(ledger, netuid, signer, sealed, arguments["reveal_round"])
    _updated(ledger, netuid, uid)
    fact = (signer, netuid, list(blake2_256(sealed)), arguments["reveal_round"])
    return [(SUBTENSOR, {"TimelockedWeightsCommitted": fact})]


def set_commitment(ledger: Ledger, signer: str, arguments: Arguments) -> list[Event]:
    """Publish a few bytes beside a neuron; how many per epoch is limited."""
    netuid, info = arguments["netuid"], arguments["info"]
    if len(info["fields"]) > MAX_COMMITMENT_FIELDS:
        raise DispatchError("TooManyFieldsInCommitmentInfo", COMMITMENTS)
    if ledger.get("Uids", netuid, signer) is None:
        raise DispatchError("AccountNotAllowedCommit", COMMITMENTS)
    space = max(MIN_COMMITMENT_SPACE, sum(map(_field_size, info["fields"])))
    _use_space(ledger, netuid, signer, space)
    record = {"deposit": 0, "block": ledger.number, "info": info}
    ledger.put("CommitmentOf", netuid, signer, value=record, pallet=COMMITMENTS)
    ledger.put("LastCommitment", netuid, signer, value=ledger.number, pallet=COMMITMENTS)
    return [(COMMITMENTS, {"Commitment": {"netuid": netuid, "who": signer}})]


CALLS: dict[tuple[str, str], Call] = {
    ("System", "remark"): remark,
    ("Balances", "transfer_keep_alive"): transfer_keep_alive,
    (SUBTENSOR, "burned_register"): burned_register,
    (SUBTENSOR, "serve_axon"): serve_axon,
    (SUBTENSOR, "set_weights"): set_weights,
    (SUBTENSOR, "set_mechanism_weights"): set_weights,
    (SUBTENSOR, "commit_timelocked_weights"): commit_timelocked_weights,
    (SUBTENSOR, "commit_timelocked_mechanism_weights"): commit_timelocked_weights,
    (COMMITMENTS, "set_commitment"): set_commitment,
}


def _pay(ledger: Ledger, account: str, rao: int, otherwise: DispatchError) -> None:
    if ledger.get("Account", account, pallet="System")["data"]["free"] < rao:
        raise otherwise
    subnet.fund(ledger, account, -rao)


def _require_address(arguments: Arguments) -> None:
    """Loopback addresses, which the network refuses, are where a local network lives."""
    if arguments["port"] == 0:
        raise DispatchError("InvalidPort")
    if arguments["ip_type"] not in (4, 6):
        raise DispatchError("InvalidIpType")
    highest = (1 << (32 if arguments["ip_type"] == 4 else 128)) - 1
    is_reset = all(arguments[name] == value for name, value in RESET_AXON.items())
    if not is_reset and not 0 < arguments["ip"] < highest:
        raise DispatchError("InvalidIpAddress")


def _require_first_mechanism(ledger: Ledger, arguments: Arguments) -> None:
    subnet.require_subnet(ledger, arguments["netuid"])
    if arguments.get("mecid", 0) != 0:
        raise DispatchError("MechanismDoesNotExist")


def _setter(ledger: Ledger, netuid: int, uid: int, hotkey: str) -> weights.Setter:
    updated = ledger.get("LastUpdate", netuid)[uid]
    return weights.Setter(
        uid=uid,
        stake=ledger.get("TotalHotkeyAlpha", hotkey, netuid),
        permitted=ledger.get("ValidatorPermit", netuid)[uid],
        blocks_since_update=ledger.number - updated if updated else None,
    )


def _limits(ledger: Ledger, netuid: int) -> weights.Limits:
    return weights.Limits(
        neurons=ledger.get("SubnetworkN", netuid),
        stake_threshold=ledger.get("StakeThreshold"),
        rate_limit=ledger.get("WeightsSetRateLimit", netuid),
        version_key=ledger.get("WeightsVersionKey", netuid),
        min_weights=ledger.get("MinAllowedWeights", netuid),
        max_weight=ledger.get("MaxWeightsLimit", netuid),
    )


def _updated(ledger: Ledger, netuid: int, uid: int) -> None:
    updates = list(ledger.get("LastUpdate", netuid))
    updates[uid] = ledger.number
    ledger.put("LastUpdate", netuid, value=updates)


def _keep_commit(
    ledger: Ledger, netuid: int, hotkey: str, sealed: bytes, reveal_round: int
) -> None:
    epoch = ledger.get("SubnetEpochIndex", netuid)
    commits = list(ledger.get("TimelockedWeightCommits", netuid, epoch))
    mine = sum(1 for commit in commits if commit[0] == hotkey)
    if mine >= weights.UNREVEALED_COMMITS_LIMIT:
        raise DispatchError("TooManyUnrevealedCommits")
    commits.append((hotkey, ledger.number, list(sealed), reveal_round))
    ledger.put("TimelockedWeightCommits", netuid, epoch, value=commits)


def _use_space(ledger: Ledger, netuid: int, hotkey: str, space: int) -> None:
    epoch = ledger.get("SubnetEpochIndex", netuid)
    usage = ledger.get("UsedSpaceOf", netuid, hotkey, pallet=COMMITMENTS)
    used = usage["used_space"] if usage and usage["last_epoch"] == epoch else 0
    if used + space > ledger.get("MaxSpace", pallet=COMMITMENTS):
        raise DispatchError("SpaceLimitExceeded", COMMITMENTS)
    usage = {"last_epoch": epoch, "used_space": used + space}
    ledger.put("UsedSpaceOf", netuid, hotkey, value=usage, pallet=COMMITMENTS)


def _field_size(field: Any) -> int:
    """The bytes a commitment field takes: the plain or sealed content it carries."""
    if not isinstance(field, dict):
        return 0
    content = next(iter(field.values()))
    if isinstance(content, dict):
        content = content["encrypted"]
    return len(_bytes(content))


def _bytes(value: Any) -> bytes:
    """Bytes as the codec decodes them: text if they are, else hex text, or a list of numbers."""
    if not isinstance(value, str):
        return bytes(value)
    return bytes.fromhex(value[2:]) if value.startswith("0x") else value.encode()
