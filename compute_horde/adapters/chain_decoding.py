"""Builds the port's values from the SDK's answers, and refuses answers that contradict themselves.

Every function raises `ValueError`, `LookupError` or `TypeError` for an answer of another form.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from bittensor_core import ss58_decode

from compute_horde.adapters.chain_port import (
    Collateral,
    CollateralPolicy,
    EpochSchedule,
    Hyperparameters,
    Metagraph,
    Neuron,
    SubnetEvent,
    WeightCommit,
)

NO_ADDRESS = "0.0.0.0"
PORT_MAX = 65535
# The distance between the storage indices of two mechanisms of the same subnet.
MECHANISM_STRIDE = 4096
PALLET = "SubtensorModule"

# The storage item of each hyperparameter, for runtimes whose API does not report it.
HYPERPARAMETER_ITEMS = {
    "tempo": "Tempo",
    "weights_rate_limit": "WeightsSetRateLimit",
    "weights_version": "WeightsVersionKey",
    "min_allowed_weights": "MinAllowedWeights",
    "max_weights_limit": "MaxWeightsLimit",
    "commit_reveal_weights_enabled": "CommitRevealWeightsEnabled",
    "commit_reveal_period": "RevealPeriodEpochs",
    "serving_rate_limit": "ServingRateLimit",
}
# The fields of each event in the chain's order; an index is that of a mechanism.
EVENT_FIELDS = {
    "AxonServed": ("netuid", "hotkey"),
    "EpochDeferred": ("netuid",),
    "EpochSkipped": ("netuid",),
    "EpochTriggered": ("netuid",),
    "NeuronRegistered": ("netuid", "uid", "hotkey"),
    "TempoSet": ("netuid",),
    "TimelockRevealFailed": ("index", "hotkey", "reveal_round"),
    "TimelockedWeightsCommitted": ("hotkey", "index", "hash", "reveal_round"),
    "TimelockedWeightsRevealed": ("index", "hotkey"),
    "WeightsSet": ("index", "uid"),
}


def mechanism_index(netuid: int, mechanism: int) -> int:
    """The key of a mechanism's weights and commits in storage."""
    return mechanism * MECHANISM_STRIDE + netuid


def metagraph(columns: Mapping[str, Any], *, netuid: int, block: int) -> Metagraph:
    """A metagraph of this subnet at this block from its columns."""
    hotkeys = [_account(hotkey) for hotkey in columns["hotkeys"]]
    for name, expected in (("netuid", netuid), ("block", block), ("num_uids", len(hotkeys))):
        if int(columns[name]) != expected:
            raise ValueError(f"its {name} is {columns[name]} instead of {expected}")
    if len(set(hotkeys)) < len(hotkeys):
        raise ValueError("a hotkey has two uids")
    rows = zip(
        hotkeys,
        columns["coldkeys"],
        columns["total_stake"],
        columns["validator_permit"],
        columns["axons"],
        columns["last_update"],
        columns.get("emission", [0] * len(hotkeys)),
        strict=True,
    )
    neurons = tuple(
        Neuron(
            uid=uid,
            hotkey=hotkey,
            coldkey=_account(coldkey),
            total_stake_rao=_natural(stake),
            validator_permit=bool(permit),
            ip=_ip(axon),
            port=_port(axon),
            last_update=_natural(last_update),
            emission_rao=_natural(emission),
        )
        for uid, (hotkey, coldkey, stake, permit, axon, last_update, emission) in enumerate(rows)
    )
    return Metagraph(block, neurons)


def hyperparameter_values(answer: Any) -> dict[str, int | bool]:
    """Values by name, from the list of the newer API or the struct of the older ones.

    What has no form of a number or a flag is left out.
    """
    if isinstance(answer, Mapping):
        pairs: Iterable[tuple[str, Any]] = answer.items()
    else:
        pairs = ((entry["name"], entry["value"]) for entry in answer)
    values = {str(name): _scalar(value) for name, value in pairs}
    return {name: value for name, value in values.items() if value is not None}


def hyperparameters(values: Mapping[str, Any], cutoff_factor: int | None) -> Hyperparameters:
    """The hyperparameters; `cutoff_factor` is in thousandths of a tempo, None if unknown.

    Without a factor, the activity cutoff is the one that older runtimes report in blocks.
    """
    tempo = int(values["tempo"])
    factor = values.get("activity_cutoff_factor", cutoff_factor)
    absolute = values.get("activity_cutoff")
    return Hyperparameters(
        tempo=tempo,
        weights_rate_limit=int(values["weights_rate_limit"]),
        weights_version=int(values["weights_version"]),
        min_allowed_weights=int(values["min_allowed_weights"]),
        max_weights_limit=int(values["max_weights_limit"]),
        commit_reveal_weights_enabled=bool(values["commit_reveal_weights_enabled"]),
        commit_reveal_period=int(values["commit_reveal_period"]),
        serving_rate_limit=int(values["serving_rate_limit"]),
        activity_cutoff=int(factor) * tempo // 1000 if factor is not None else absolute,
    )


def epoch_schedule(status: Mapping[str, Any]) -> EpochSchedule:
    """The schedule from the SDK's status of the epoch."""
    block, tempo = int(status["block"]), int(status["tempo"])
    last, since = int(status["last_epoch_block"]), int(status["blocks_since_last_step"])
    pending = status["pending_epoch_at"]
    return EpochSchedule(
        block=block,
        tempo=tempo,
        last_epoch_block=last,
        pending_epoch_block=pending,
        epoch_index=int(status["epoch_index"]),
        blocks_since_last_step=since,
        next_epoch_block=next_epoch(block, tempo=tempo, last=last, pending=pending, since=since),
    )


def next_epoch(block: int, *, tempo: int, last: int, pending: int | None, since: int) -> int | None:
    """The block in which the next epoch after `block` runs unless it is deferred.

    It is the earliest of the block of a triggered epoch, a tempo after the block from which the
    schedule counts, and the block at which more than a tempo has passed since the last step. The
    chain's own prediction omits the last of them, which comes first after a change of the tempo.
    """
    if tempo == 0:
        return None
    due = min(last + tempo, block + tempo + 1 - since, last + tempo if pending is None else pending)
    return max(due, block + 1)


def weight_commits(
    by_epoch: Mapping[int, Iterable[Mapping[str, Any]]], hotkey: str
) -> tuple[WeightCommit, ...]:
    """The commits of one hotkey, by epoch and then in the chain's order."""
    return tuple(
        WeightCommit(
            epoch_index=int(epoch),
            block=int(commit["commit_block"]),
            reveal_round=int(commit["reveal_round"]),
            reveals_at=commit["reveals_at"],
        )
        for epoch, commits in sorted(by_epoch.items())
        for commit in commits
        if commit["hotkey"] == hotkey
    )


def subnet_events(records: Iterable[Mapping[str, Any]], netuid: int) -> tuple[SubnetEvent, ...]:
    """The events of this subnet that are in `EVENT_FIELDS`."""
    found = (_subnet_event(record, netuid) for record in records)
    return tuple(event for event in found if event is not None)


def collateral(record: Mapping[str, Any]) -> Collateral:
    """The collateral from the SDK's record of it."""
    return Collateral(
        locked_rao=int(record["locked_alpha"].rao),
        minimum_rao=int(record["min_locked_alpha"].rao),
        earned_rao=int(record["earned_alpha"].rao),
        drain_ratio=Decimal(repr(record["drain_ratio"])),
    )


def collateral_policy(record: Mapping[str, Any]) -> CollateralPolicy:
    """The subnet's rules from the SDK's record of them."""
    return CollateralPolicy(
        lock_share=Decimal(repr(record["lock_share"])),
        drain_ratio=Decimal(repr(record["drain_ratio"])),
    )


def _subnet_event(record: Mapping[str, Any], netuid: int) -> SubnetEvent | None:
    name = str(record["event_id"])
    if record["module_id"] != PALLET or name not in EVENT_FIELDS:
        return None
    content = record["attributes"]
    values = list(content.values()) if isinstance(content, Mapping) else list(content)
    fields = dict(zip(EVENT_FIELDS[name], values, strict=False))
    mechanism = None
    if "index" in fields:
        mechanism, subnet = divmod(int(fields["index"]), MECHANISM_STRIDE)
    else:
        subnet = int(fields["netuid"])
    if subnet != netuid:
        return None
    return SubnetEvent(
        name,
        mechanism,
        uid=fields.get("uid"),
        hotkey=fields.get("hotkey"),
        reveal_round=fields.get("reveal_round"),
    )


def _scalar(value: Any) -> int | bool | None:
    """A number or a flag, also in the form `{type: value}` or as bits of a fixed-point number."""
    while isinstance(value, Mapping) and len(value) == 1:
        (value,) = value.values()
    return value if isinstance(value, int) else None


def _account(value: Any) -> str:
    ss58_decode(str(value))
    return str(value)


def _natural(value: Any) -> int:
    number = int(value)
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number


def _port(axon: Mapping[str, Any]) -> int:
    port = int(axon["port"])
    if not 0 <= port <= PORT_MAX:
        raise ValueError(f"{port} is not a port")
    return port if axon["ip"] else 0


def _ip(axon: Mapping[str, Any]) -> str:
    number = int(axon["ip"])
    if not number:
        return NO_ADDRESS
    kind = ipaddress.IPv6Address if int(axon["ip_type"]) == 6 else ipaddress.IPv4Address
    try:
        return str(kind(number))
    except ValueError:
        # Neurons may publish invalid addresses; one must not make the metagraph unreadable.
        return NO_ADDRESS
