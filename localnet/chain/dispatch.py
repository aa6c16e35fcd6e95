"""Executes calls: the checks and storage writes of subtensor's pallets.

Every call raises `DispatchError` with the name of the error that subtensor has for the case.
"""

from collections.abc import Callable
from typing import Any

from localnet.chain import collateral, epochs, subnet, weight_calls
from localnet.chain.pallets import ADMIN, COMMITMENTS, MAX_COMMITMENT_FIELDS
from localnet.chain.storage import Arguments, DispatchError, Event, Storage, as_bytes
from localnet.chain.subtensor_pallet import SUBTENSOR
from localnet.chain.weights import U16_MAX

Call = Callable[[Storage, str, Arguments], list[Event]]

MIN_COMMITMENT_SPACE = 100
RESET_AXON = {"ip": 0, "port": 1}


def dispatch(
    storage: Storage, signer: str, pallet: str, function: str, arguments: Arguments
) -> list[Event]:
    """Execute one call for its signer; the events it deposits. Raises `DispatchError`."""
    return CALLS[pallet, function](storage, signer, arguments)


def remark(_storage: Storage, _signer: str, _arguments: Arguments) -> list[Event]:
    """Do nothing: the call only puts bytes into a block."""
    return []


def transfer_keep_alive(storage: Storage, signer: str, arguments: Arguments) -> list[Event]:
    """Move free balance from the signer to another account."""
    destination, amount = arguments["dest"], arguments["value"]
    if isinstance(destination, dict):
        destination = destination["Id"]
    _pay(storage, signer, amount, DispatchError("InsufficientBalance", "Balances"))
    subnet.fund(storage, destination, amount)
    return []


def burned_register(storage: Storage, signer: str, arguments: Arguments) -> list[Event]:
    """Register the hotkey as a neuron; the signer is its coldkey and pays the burn.

    The subnet's share of it is not burnt but locked as collateral.
    """
    netuid, hotkey = arguments["netuid"], arguments["hotkey"]
    subnet.require_subnet(storage, netuid)
    if not storage.get("NetworkRegistrationAllowed", netuid):
        raise DispatchError("SubNetRegistrationDisabled")
    uid = subnet.register(storage, netuid, hotkey, signer, last_update=storage.number)
    _pay(storage, signer, storage.get("Burn", netuid), DispatchError("NotEnoughBalanceToStake"))
    share = storage.get("Burn", netuid) * storage.get("CollateralLockShare", netuid) // U16_MAX
    locked = collateral.lock(storage, netuid, hotkey, signer, share, is_new=True)
    return [*locked, (SUBTENSOR, {"NeuronRegistered": (netuid, uid, hotkey)})]


def serve_axon(storage: Storage, signer: str, arguments: Arguments) -> list[Event]:
    """Publish the address and port of a neuron."""
    netuid = arguments["netuid"]
    if storage.get("Uids", netuid, signer) is None:
        raise DispatchError("HotKeyNotRegisteredInNetwork")
    _require_address(arguments)
    before = storage.get("Axons", netuid, signer)
    limit = storage.get("ServingRateLimit", netuid)
    if before and storage.number - before["block"] < limit:
        raise DispatchError("ServingRateLimitExceeded")
    axon = {name: value for name, value in arguments.items() if name != "netuid"}
    storage.put("Axons", netuid, signer, value=axon | {"block": storage.number})
    return [(SUBTENSOR, {"AxonServed": (netuid, signer)})]


def set_commitment(storage: Storage, signer: str, arguments: Arguments) -> list[Event]:
    """Publish a few bytes for a neuron, at most `MaxSpace` bytes in an epoch."""
    netuid, info = arguments["netuid"], arguments["info"]
    if len(info["fields"]) > MAX_COMMITMENT_FIELDS:
        raise DispatchError("TooManyFieldsInCommitmentInfo", COMMITMENTS)
    if storage.get("Uids", netuid, signer) is None:
        raise DispatchError("AccountNotAllowedCommit", COMMITMENTS)
    space = max(MIN_COMMITMENT_SPACE, sum(map(_field_size, info["fields"])))
    _charge_space(storage, netuid, signer, space)
    record = {"deposit": 0, "block": storage.number, "info": info}
    storage.put("CommitmentOf", netuid, signer, value=record, pallet=COMMITMENTS)
    storage.put("LastCommitment", netuid, signer, value=storage.number, pallet=COMMITMENTS)
    return [(COMMITMENTS, {"Commitment": {"netuid": netuid, "who": signer}})]


CALLS: dict[tuple[str, str], Call] = {
    ("System", "remark"): remark,
    ("Balances", "transfer_keep_alive"): transfer_keep_alive,
    (SUBTENSOR, "burned_register"): burned_register,
    (SUBTENSOR, "serve_axon"): serve_axon,
    (SUBTENSOR, "set_weights"): weight_calls.set_weights,
    (SUBTENSOR, "set_mechanism_weights"): weight_calls.set_weights,
    (SUBTENSOR, "commit_timelocked_weights"): weight_calls.commit_timelocked_weights,
    (SUBTENSOR, "commit_timelocked_mechanism_weights"): weight_calls.commit_timelocked_weights,
    (SUBTENSOR, "add_collateral"): collateral.add_collateral,
    (SUBTENSOR, "set_min_collateral"): collateral.set_min_collateral,
    (SUBTENSOR, "trigger_epoch"): epochs.trigger_epoch,
    (ADMIN, "sudo_set_tempo"): epochs.sudo_set_tempo,
    (COMMITMENTS, "set_commitment"): set_commitment,
}


def _pay(storage: Storage, account: str, rao: int, error: DispatchError) -> None:
    if storage.get("Account", account, pallet="System")["data"]["free"] < rao:
        raise error
    subnet.fund(storage, account, -rao)


def _require_address(arguments: Arguments) -> None:
    """Refuse an invalid address, but not a loopback address, which subtensor refuses."""
    if arguments["port"] == 0:
        raise DispatchError("InvalidPort")
    if arguments["ip_type"] not in (4, 6):
        raise DispatchError("InvalidIpType")
    highest = (1 << (32 if arguments["ip_type"] == 4 else 128)) - 1
    is_reset = all(arguments[name] == value for name, value in RESET_AXON.items())
    if not is_reset and not 0 < arguments["ip"] < highest:
        raise DispatchError("InvalidIpAddress")


def _charge_space(storage: Storage, netuid: int, hotkey: str, space: int) -> None:
    epoch = storage.get("SubnetEpochIndex", netuid)
    usage = storage.get("UsedSpaceOf", netuid, hotkey, pallet=COMMITMENTS)
    used = usage["used_space"] if usage and usage["last_epoch"] == epoch else 0
    if used + space > storage.get("MaxSpace", pallet=COMMITMENTS):
        raise DispatchError("SpaceLimitExceeded", COMMITMENTS)
    usage = {"last_epoch": epoch, "used_space": used + space}
    storage.put("UsedSpaceOf", netuid, hotkey, value=usage, pallet=COMMITMENTS)


def _field_size(field: Any) -> int:
    """The size in bytes of a commitment field's content, plain or encrypted."""
    if not isinstance(field, dict):
        return 0
    content = next(iter(field.values()))
    if isinstance(content, dict):
        content = content["encrypted"]
    return len(as_bytes(content))
