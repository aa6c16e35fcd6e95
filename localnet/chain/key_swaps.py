"""Replaces a neuron's hotkey, and records the line of keys as subtensor does."""

from localnet.chain.storage import DispatchError, Storage
from localnet.chain.subnet import require_uid


def swap_hotkey(storage: Storage, netuid: int, old: str, new: str) -> int:
    """Give the neuron of `old` the hotkey `new`; its uid. Raises `DispatchError`.

    The neuron keeps its uid, stake, address, permit and collateral. Weights that `old` committed
    cannot be revealed any more.
    """
    uid = require_uid(storage, netuid, old)
    if storage.get("Uids", netuid, new) is not None:
        raise DispatchError("HotKeyAlreadyRegisteredInSubNet")
    coldkey = storage.get("Owner", old)
    root = storage.get("HotkeyRoot", netuid, old) or old
    _move(storage, netuid, old, new, uid, coldkey)
    storage.put("HotkeySuccessor", netuid, old, value=new)
    storage.put("HotkeySuccessor", netuid, new, value=None)
    storage.put("HotkeyRoot", netuid, new, value=None if root == new else root)
    return uid


def swap_coldkey(storage: Storage, netuid: int, old: str, new: str) -> None:
    """Make `new` the owner of all neurons of `old`."""
    for uid in range(storage.get("SubnetworkN", netuid)):
        hotkey = storage.get("Keys", netuid, uid)
        if storage.get("Owner", hotkey) == old:
            storage.put("Owner", hotkey, value=new)
            collateral = storage.get("MinerCollateral", netuid, hotkey, old)
            storage.put("MinerCollateral", netuid, hotkey, old, value=None)
            storage.put("MinerCollateral", netuid, hotkey, new, value=collateral)
    root = storage.get("ColdkeyRoot", old) or old
    storage.put("ColdkeyRoot", new, value=None if root == new else root)


def _move(storage: Storage, netuid: int, old: str, new: str, uid: int, coldkey: str) -> None:
    storage.put("Keys", netuid, uid, value=new)
    storage.put("Uids", netuid, old, value=None)
    storage.put("Uids", netuid, new, value=uid)
    storage.put("IsNetworkMember", old, netuid, value=False)
    storage.put("IsNetworkMember", new, netuid, value=True)
    storage.put("Owner", new, value=coldkey)
    storage.put("TotalHotkeyAlpha", new, netuid, value=storage.get("TotalHotkeyAlpha", old, netuid))
    storage.put("TotalHotkeyAlpha", old, netuid, value=0)
    storage.put("Axons", netuid, new, value=storage.get("Axons", netuid, old))
    storage.put("Axons", netuid, old, value=None)
    collateral = storage.get("MinerCollateral", netuid, old, coldkey)
    storage.put("MinerCollateral", netuid, old, coldkey, value=None)
    storage.put("MinerCollateral", netuid, new, coldkey, value=collateral)
