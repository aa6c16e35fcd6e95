"""Miners' collateral: stake that is locked at registration and released by what a miner earns."""

from typing import Any

from localnet.chain.storage import Arguments, DispatchError, Event, Storage
from localnet.chain.subtensor_pallet import SUBTENSOR

NO_BOND: dict[str, Any] = {"locked": 0, "drain_ratio": {"bits": 0}, "min_locked": 0, "earned": 0}
# The drain ratio is a fixed-point number with 64 fractional bits.
ONE = 1 << 64


def bond(storage: Storage, netuid: int, hotkey: str, coldkey: str) -> dict[str, Any]:
    """The collateral of a hotkey that its coldkey has locked; amounts are in the unit of stake."""
    found = storage.get("MinerCollateral", netuid, hotkey, coldkey)
    return dict(found or NO_BOND)


def lock(
    storage: Storage, netuid: int, hotkey: str, coldkey: str, amount: int, *, is_new: bool = False
) -> list[Event]:
    """Lock an amount; new stake for a new neuron, otherwise stake that the hotkey has."""
    if amount == 0:
        return []
    changed = bond(storage, netuid, hotkey, coldkey)
    changed["locked"] += amount
    if is_new:
        changed["drain_ratio"] = storage.get("CollateralDrainRatio", netuid)
        _add_stake(storage, netuid, hotkey, amount)
    storage.put("MinerCollateral", netuid, hotkey, coldkey, value=changed)
    content = {"netuid": netuid, "hotkey": hotkey, "alpha": amount}
    return [(SUBTENSOR, {"CollateralLocked": content})]


def earn(storage: Storage, netuid: int, hotkey: str, amount: int) -> None:
    """Pay a neuron: below its minimum the pay is locked, above it the lock is released.

    For each unit earned, the drain ratio's share of it is released, down to the minimum.
    """
    coldkey = storage.get("Owner", hotkey)
    _add_stake(storage, netuid, hotkey, amount)
    changed = bond(storage, netuid, hotkey, coldkey)
    if changed == NO_BOND:
        return
    changed["earned"] += amount
    missing = changed["min_locked"] - changed["locked"]
    if missing > 0:
        changed["locked"] += min(missing, amount)
    else:
        released = amount * changed["drain_ratio"]["bits"] // ONE
        changed["locked"] -= min(-missing, released)
    storage.put("MinerCollateral", netuid, hotkey, coldkey, value=changed)


def add_collateral(storage: Storage, signer: str, arguments: Arguments) -> list[Event]:
    """Lock free stake of the signer's hotkey."""
    netuid, hotkey, amount = arguments["netuid"], arguments["hotkey"], arguments["alpha"]
    _require_owner(storage, netuid, hotkey, signer)
    if amount == 0:
        raise DispatchError("AmountTooLow")
    stake = storage.get("TotalHotkeyAlpha", hotkey, netuid)
    if amount > stake - bond(storage, netuid, hotkey, signer)["locked"]:
        raise DispatchError("NotEnoughBalanceToStake")
    return lock(storage, netuid, hotkey, signer, amount)


def set_min_collateral(storage: Storage, signer: str, arguments: Arguments) -> list[Event]:
    """Set the least that stays locked for the signer's hotkey; 0 for no such minimum."""
    netuid, hotkey = arguments["netuid"], arguments["hotkey"]
    _require_owner(storage, netuid, hotkey, signer)
    changed = bond(storage, netuid, hotkey, signer) | {"min_locked": arguments["min_locked"]}
    kept = None if changed == NO_BOND else changed
    storage.put("MinerCollateral", netuid, hotkey, signer, value=kept)
    return []


def _require_owner(storage: Storage, netuid: int, hotkey: str, signer: str) -> None:
    if not storage.get("NetworksAdded", netuid):
        raise DispatchError("SubnetNotExists")
    if storage.get("Owner", hotkey) != signer:
        raise DispatchError("NonAssociatedColdKey")


def _add_stake(storage: Storage, netuid: int, hotkey: str, amount: int) -> None:
    stake = storage.get("TotalHotkeyAlpha", hotkey, netuid) + amount
    storage.put("TotalHotkeyAlpha", hotkey, netuid, value=stake)
