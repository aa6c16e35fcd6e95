"""Answers that contradict themselves are refused, and unknown ones are tolerated."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from bittensor_core import Keypair
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.adapters import chain_decoding as decoding
from compute_horde.adapters.chain_port import Collateral, SubnetEvent
from localnet.chain.epochs import Schedule

NETUID, BLOCK = 12, 700
A, B = (Keypair.create_from_uri(f"//{name}").ss58_address for name in "ab")
AXON = {"ip": 0x7F000001, "port": 8091, "ip_type": 4}


def columns(**changes: Any) -> dict[str, Any]:
    return {
        "netuid": NETUID,
        "block": BLOCK,
        "num_uids": 2,
        "hotkeys": [A, B],
        "coldkeys": [B, B],
        "total_stake": [5, 0],
        "validator_permit": [True, False],
        "axons": [AXON, AXON | {"ip": 0, "port": 9}],
        "last_update": [1, 2],
    } | changes


def graph(**changes: Any) -> Any:
    return decoding.metagraph(columns(**changes), netuid=NETUID, block=BLOCK)


def test_a_sound_metagraph_has_its_neurons_by_uid() -> None:
    first, second = graph().neurons
    assert (first.uid, first.hotkey, first.ip, first.port) == (0, A, "127.0.0.1", 8091)
    assert (second.uid, second.hotkey, second.ip, second.port) == (1, B, "0.0.0.0", 0)
    assert [one.emission_rao for one in graph(emission=[7, 0]).neurons] == [7, 0]
    with pytest.raises(ValueError, match="shorter"):
        graph(emission=[7])


@pytest.mark.parametrize(
    "changes",
    [
        {"netuid": 13},
        {"netuid": {"network": 0, "netuid": NETUID}},
        {"block": BLOCK - 1},
        {"num_uids": 3},
        {"hotkeys": [A, A]},
        {"hotkeys": [A, A[:-1] + "x"]},
        {"hotkeys": [A, "0x" + "00" * 32]},
        {"hotkeys": [A]},
        {"coldkeys": [B]},
        {"coldkeys": [B, ""]},
        {"total_stake": [5]},
        {"total_stake": [5, -1]},
        {"validator_permit": []},
        {"axons": [AXON, AXON | {"port": 70_000}]},
        {"last_update": [1, 2, 3]},
        {"last_update": [1, None]},
    ],
    ids=str,
)
def test_a_metagraph_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        graph(**changes)


@pytest.mark.parametrize("name", columns())
def test_a_metagraph_without_a_column_is_refused(name: str) -> None:
    without = {key: value for key, value in columns().items() if key != name}
    with pytest.raises(LookupError):
        decoding.metagraph(without, netuid=NETUID, block=BLOCK)


def test_an_address_that_is_none_does_not_make_the_metagraph_unreadable() -> None:
    neurons = graph(axons=[AXON | {"ip": 1 << 40}, AXON]).neurons
    assert neurons[0].ip == "0.0.0.0"


VALUES = {
    "tempo": 360,
    "weights_rate_limit": 100,
    "weights_version": 2,
    "min_allowed_weights": 1,
    "max_weights_limit": 65535,
    "commit_reveal_weights_enabled": True,
    "commit_reveal_period": 1,
    "serving_rate_limit": 50,
}


@pytest.mark.parametrize(
    "answer",
    [
        VALUES | {"new": "text", "ratio": {"I32F32": {"bits": 5}}},
        [{"name": name, "value": {"U64": value}} for name, value in VALUES.items()]
        + [{"name": "new", "value": {"Text": "x"}}, {"name": "pair", "value": {"a": 1, "b": 2}}],
    ],
    ids=["struct", "list"],
)
def test_hyperparameters_come_in_several_formats(answer: Any) -> None:
    values = decoding.hyperparameter_values(answer)
    assert {name: values[name] for name in VALUES} == VALUES
    assert "new" not in values
    assert "pair" not in values
    read = decoding.hyperparameters(values, cutoff_factor=2000)
    assert (read.tempo, read.weights_rate_limit, read.activity_cutoff) == (360, 100, 720)
    assert read.commit_reveal_weights_enabled is True


@pytest.mark.parametrize(
    ("reported", "stored", "cutoff"),
    [
        ({"activity_cutoff_factor": 1500, "activity_cutoff": 5000}, 9999, 540),
        ({"activity_cutoff": 5000}, 13_889, 5000),
        ({"activity_cutoff": 5000}, None, 5000),
        ({}, None, None),
    ],
)
def test_the_activity_cutoff_is_a_factor_or_else_blocks(
    reported: dict[str, int], stored: int | None, cutoff: int | None
) -> None:
    assert decoding.hyperparameters(VALUES | reported, stored).activity_cutoff == cutoff


@given(
    tempo=st.integers(0, 12),
    since_anchor=st.integers(0, 14),
    since_step=st.integers(0, 14),
    pending=st.none() | st.integers(-3, 14),
)
def test_the_next_epoch_is_the_one_that_the_local_chain_runs(
    tempo: int, since_anchor: int, since_step: int, pending: int | None
) -> None:
    block, since = 1000, min(since_step, tempo + 1)
    due = None if pending is None else block + pending
    stored = Schedule(tempo, block - since_anchor, due or 0, 3, since)
    runs = (
        later
        for later in range(block + 1, block + 40)
        if replace(stored, blocks_since_last_step=min(since + later - block, tempo + 1)).is_due(
            later
        )
    )
    assert decoding.next_epoch(
        block, tempo=tempo, last=stored.last_epoch_block, pending=due, since=since
    ) == next(runs, None)


def record(name: str, attributes: Any, pallet: str = "SubtensorModule") -> dict[str, Any]:
    return {"module_id": pallet, "event_id": name, "attributes": attributes}


@pytest.mark.parametrize(
    ("name", "attributes", "event"),
    [
        ("WeightsSet", (NETUID, 3), SubnetEvent("WeightsSet", 0, uid=3)),
        ("WeightsSet", (2 * 4096 + NETUID, 3), SubnetEvent("WeightsSet", 2, uid=3)),
        ("WeightsSet", (4096 + 13, 3), None),
        (
            "TimelockRevealFailed",
            {"netuid": NETUID, "who": A, "round": 7, "new": 1},
            SubnetEvent("TimelockRevealFailed", 0, hotkey=A, reveal_round=7),
        ),
        ("NeuronRegistered", (NETUID, 1, A), SubnetEvent("NeuronRegistered", uid=1, hotkey=A)),
        ("EpochDeferred", {"netuid": NETUID, "from_block": 1}, SubnetEvent("EpochDeferred")),
        ("EpochDeferred", {"netuid": 13, "from_block": 1}, None),
        ("SomethingNew", (NETUID,), None),
    ],
)
def test_an_event_is_one_of_this_subnet_or_left_out(
    name: str, attributes: Any, event: SubnetEvent | None
) -> None:
    expected = () if event is None else (event,)
    assert decoding.subnet_events([record(name, attributes)], NETUID) == expected
    assert decoding.subnet_events([record(name, attributes, "Other")], NETUID) == ()


@given(st.integers(0, 4095), st.integers(0, 7))
def test_a_mechanisms_index_is_taken_apart_again(netuid: int, mechanism: int) -> None:
    index = decoding.mechanism_index(netuid, mechanism)
    (event,) = decoding.subnet_events([record("WeightsSet", (index, 1))], netuid)
    assert event.mechanism == mechanism


def test_commits_are_of_one_hotkey_and_ordered_by_epoch() -> None:
    def commit(hotkey: str, block: int) -> dict[str, Any]:
        return {"hotkey": hotkey, "commit_block": block, "reveal_round": 9, "reveals_at": None}

    by_epoch = {4: [commit(A, 40), commit(B, 41)], 3: [commit(A, 30)]}
    found = decoding.weight_commits(by_epoch, A)
    assert [(one.epoch_index, one.block) for one in found] == [(3, 30), (4, 40)]


def test_collateral_is_exact() -> None:
    amounts = {"locked_alpha": 2**60 + 1, "min_locked_alpha": 2, "earned_alpha": 3}
    balances = {name: SimpleNamespace(rao=rao) for name, rao in amounts.items()}
    read = decoding.collateral(balances | {"drain_ratio": 0.1})
    assert isinstance(read, Collateral)
    assert (read.locked_rao, read.minimum_rao, read.earned_rao) == (2**60 + 1, 2, 3)
    assert str(read.drain_ratio) == "0.1"
