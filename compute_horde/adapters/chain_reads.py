"""Reads of several steps, each of one block: what they ask of the SDK and how they read it."""

import asyncio
from typing import Any

from compute_horde.adapters import chain_decoding as decoding
from compute_horde.adapters.bittensor_sdk import bittensor
from compute_horde.adapters.chain_connection import DECODING_ERRORS
from compute_horde.adapters.chain_port import (
    ChainRefused,
    Collateral,
    CollateralPolicy,
    EpochSchedule,
    Hyperparameters,
    KeyLineage,
    Metagraph,
    SubnetEvent,
)

HYPERPARAMETER_APIS = (
    "get_subnet_hyperparams_v3",
    "get_subnet_hyperparams_v2",
    "get_subnet_hyperparams",
)

items = bittensor.storage.SubtensorModule


async def block_hash(sdk: bittensor.Client, block: int) -> str:
    """The hash of a block. Raises `ChainRefused` if there is none."""
    found = await sdk.block_info(block)
    if found is None:
        raise ChainRefused(f"there is no block {block}", bittensor.ErrorCode.NOT_FOUND.value)
    return str(found.hash)


async def metagraph(sdk: bittensor.Client, netuid: int, block: int | None) -> Metagraph:
    """All neurons of the subnet."""
    snapshot = await sdk.at(block)
    columns = await snapshot.read("metagraph", netuid=netuid)
    if columns is None:
        raise _no_subnet(netuid)
    return decoding.metagraph(columns, netuid=netuid, block=snapshot.block)


async def hyperparameters(sdk: bittensor.Client, netuid: int) -> Hyperparameters:
    """The hyperparameters, from the newest API that the runtime has.

    What that does not report is read from storage.
    """
    snapshot = await sdk.at()
    await _require_subnet(snapshot, netuid)
    values = await _reported_hyperparameters(snapshot, netuid)
    for name, item in decoding.HYPERPARAMETER_ITEMS.items():
        if name not in values:
            values[name] = await snapshot.query((decoding.PALLET, item), [netuid])
    factor = None
    if "activity_cutoff_factor" not in values:
        factor = await _item_or_none(snapshot, items.ActivityCutoffFactorMilli, [netuid])
    return decoding.hyperparameters(values, factor)


async def epoch_schedule(sdk: bittensor.Client, netuid: int, block: int | None) -> EpochSchedule:
    """When the subnet's epochs run."""
    snapshot = await sdk.at(block)
    await _require_subnet(snapshot, netuid)
    return decoding.epoch_schedule(await snapshot.read("epoch_status", netuid=netuid))


async def events(
    substrate: bittensor.RpcSubstrate, netuid: int, block: int
) -> tuple[SubnetEvent, ...]:
    """The subnet's events in a block."""
    records = await substrate.events(await substrate.block_hash(block))
    return decoding.subnet_events(records, netuid)


async def collaterals(sdk: bittensor.Client, netuid: int) -> dict[str, Collateral]:
    """The collateral that the hotkeys' owners have locked, by hotkey."""
    snapshot = await sdk.at()
    records = await snapshot.read("subnet_collateral", netuid=netuid)
    owners = await snapshot.query_batch(items.Owner, [[record["hotkey"]] for record in records])
    return {
        str(record["hotkey"]): decoding.collateral(record)
        for record, owner in zip(records, owners, strict=True)
        if record["coldkey"] == str(owner)
    }


async def collateral_policy(sdk: bittensor.Client, netuid: int) -> CollateralPolicy:
    """The subnet's rules of collateral."""
    found = await sdk.read("collateral_policy", netuid=netuid)
    return decoding.collateral_policy(found)


async def lineage(sdk: bittensor.Client, netuid: int, hotkey: str) -> KeyLineage:
    """The lines of swaps that led to a hotkey and its coldkey."""
    snapshot = await sdk.at()
    coldkey = str(await snapshot.query(items.Owner, [hotkey]))
    root, successor, coldkey_root = await asyncio.gather(
        snapshot.query(items.HotkeyRoot, [netuid, hotkey]),
        snapshot.query(items.HotkeySuccessor, [netuid, hotkey]),
        snapshot.query(items.ColdkeyRoot, [coldkey]),
    )
    return KeyLineage(root or hotkey, coldkey_root or coldkey, successor)


async def _reported_hyperparameters(snapshot: Any, netuid: int) -> dict[str, Any]:
    for method in HYPERPARAMETER_APIS:
        try:
            answer = await snapshot.runtime(("SubnetInfoRuntimeApi", method), [netuid])
            return dict(decoding.hyperparameter_values(answer))
        except (bittensor.ChainError, *DECODING_ERRORS):
            # A runtime without this API: an older one may exist.
            continue
    return {}


async def _item_or_none(snapshot: Any, item: Any, keys: list[Any]) -> int | None:
    """A number in storage; None in a runtime that does not have it."""
    try:
        return int(await snapshot.query(item, keys))
    except DECODING_ERRORS:
        return None


async def _require_subnet(snapshot: Any, netuid: int) -> None:
    if not await snapshot.query(items.NetworksAdded, [netuid]):
        raise _no_subnet(netuid)


def _no_subnet(netuid: int) -> ChainRefused:
    missing = bittensor.ErrorCode.SUBNET_NOT_EXISTS.value
    return ChainRefused(f"there is no subnet {netuid}", missing)
