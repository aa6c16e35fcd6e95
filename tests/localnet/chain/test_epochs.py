"""The schedule of epochs: when one runs, what changes it, and that the SDK predicts the same."""

import time
from dataclasses import replace
from pathlib import Path

import bittensor_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localnet.chain.admin import administer
from localnet.chain.epochs import Schedule, schedule
from localnet.chain.pallets import ADMIN
from localnet.chain.subtensor_pallet import MAX_TEMPO, MIN_TEMPO
from localnet.chain.testing import running
from tests.localnet.chain.workbench import NETUID, OWNER, TEMPO, Workbench

DRAND_GENESIS = 1_692_803_367
DRAND_PERIOD = 3
# The SDK adds these blocks to the epoch's block, so that the round is published by then.
REVEAL_MARGIN = 3


def epochs(bench: Workbench) -> list[int]:
    """The blocks up to now in which an epoch ran."""
    blocks = bench.node.blocks
    found = {
        blocks.storage_at(number).get("LastEpochBlock", NETUID)
        for number in range(bench.number + 1)
    }
    return sorted(found - {0})


@pytest.mark.parametrize(
    ("change", "block", "is_due"),
    [
        ({}, 109, False),
        ({}, 110, True),
        ({"pending_epoch_at": 105}, 104, False),
        ({"pending_epoch_at": 105}, 105, True),
        ({"pending_epoch_at": 105}, 107, True),
        ({"blocks_since_last_step": 10}, 101, False),
        ({"blocks_since_last_step": 11}, 101, True),
        ({"tempo": 0, "pending_epoch_at": 1, "blocks_since_last_step": 9}, 1000, False),
    ],
)
def test_an_epoch_is_due_by_three_rules(change: dict[str, int], block: int, is_due: bool) -> None:
    stored = {
        "tempo": 10,
        "last_epoch_block": 100,
        "pending_epoch_at": 0,
        "epoch_index": 3,
        "blocks_since_last_step": 0,
    }
    assert Schedule(**stored | change).is_due(block) == is_due


@pytest.mark.parametrize(
    ("tempo", "pending", "following"), [(10, 0, 110), (10, 104, 104), (10, 999, 110), (0, 5, None)]
)
def test_the_next_epoch_is_the_earlier_of_two(
    tempo: int, pending: int, following: int | None
) -> None:
    assert Schedule(tempo, 100, pending, 3, 0).next_epoch == following


def test_untouched_epochs_are_a_tempo_apart(bench: Workbench) -> None:
    bench.advance(35)
    assert epochs(bench) == [10, 20, 30]
    assert schedule(bench.now, NETUID) == Schedule(TEMPO, 30, 0, 3, 5)


def test_the_next_epoch_is_predicted(bench: Workbench) -> None:
    bench.advance(13)
    following = schedule(bench.now, NETUID).next_epoch
    assert following is not None
    bench.advance(following - bench.number)
    assert bench.now.get("LastEpochBlock", NETUID) == following
    assert bench.now.get("BlocksSinceLastStep", NETUID) == 0


def test_without_a_tempo_no_epoch_runs(bench: Workbench) -> None:
    bench.put("Tempo", NETUID, value=0)
    bench.advance(30)
    assert epochs(bench) == []
    assert bench.now.get("BlocksSinceLastStep", NETUID) == 1
    assert schedule(bench.now, NETUID).next_epoch is None


def test_a_cap_defers_the_epoch_block_by_block(bench: Workbench) -> None:
    bench.put("MaxEpochsPerBlock", value=0)
    bench.advance(12 - bench.number)
    assert epochs(bench) == []
    deferred = {"netuid": NETUID, "from_block": 12, "to_block": 13}
    assert bench.events("EpochDeferred") == [deferred]
    assert schedule(bench.now, NETUID).pending_epoch_at == 13
    bench.put("MaxEpochsPerBlock", value=1)
    bench.advance(12)
    assert epochs(bench) == [13, 23]


def test_an_old_step_makes_a_shorter_tempo_due_at_once(bench: Workbench) -> None:
    bench.put("Tempo", NETUID, value=50)
    bench.advance(30)
    bench.put("Tempo", NETUID, value=20)
    assert epochs(bench) == [32]


def test_the_owner_sets_a_tempo_within_bounds_and_rarely(bench: Workbench) -> None:
    bench.put("SubnetOwner", NETUID, value=OWNER)
    bench.put("AdminFreezeWindow", value=0)

    def set_tempo(tempo: int) -> str | None:
        return bench.do("owner", "sudo_set_tempo", ADMIN, netuid=NETUID, tempo=tempo)

    assert set_tempo(MIN_TEMPO - 1) == set_tempo(MAX_TEMPO + 1) == "TempoOutOfBounds"
    assert set_tempo(MIN_TEMPO) is None
    assert schedule(bench.now, NETUID).last_epoch_block == bench.number
    assert bench.events("TempoSet") == [(NETUID, MIN_TEMPO)]
    assert set_tempo(MIN_TEMPO + 1) == "TxRateLimitExceeded"
    bench.advance(MIN_TEMPO)
    assert set_tempo(MAX_TEMPO) is None


def test_a_tempo_is_not_set_shortly_before_an_epoch(bench: Workbench) -> None:
    bench.put("SubnetOwner", NETUID, value=OWNER)
    bench.put("AdminFreezeWindow", value=3)
    bench.advance(7 - bench.number)
    error = bench.do("owner", "sudo_set_tempo", ADMIN, netuid=NETUID, tempo=MIN_TEMPO)
    assert error == "AdminActionProhibitedDuringWeightsWindow"


def test_only_the_owner_changes_the_schedule(bench: Workbench) -> None:
    bench.put("SubnetOwner", NETUID, value=OWNER)
    assert bench.do("a", "trigger_epoch", netuid=NETUID) == "BadOrigin"
    assert bench.do("a", "sudo_set_tempo", ADMIN, netuid=NETUID, tempo=MIN_TEMPO) == "BadOrigin"
    assert bench.do("owner", "trigger_epoch", netuid=99) == "SubnetNotExists"


def test_the_owner_triggers_an_epoch_off_the_schedule(bench: Workbench) -> None:
    bench.put("SubnetOwner", NETUID, value=OWNER)
    bench.put("AdminFreezeWindow", value=3)
    assert bench.do("owner", "trigger_epoch", netuid=NETUID) is None
    fires_at = bench.number + 3
    assert bench.events("EpochTriggered") == [{"netuid": NETUID, "by": OWNER, "fires_at": fires_at}]
    assert bench.do("owner", "trigger_epoch", netuid=NETUID) == "EpochTriggerAlreadyPending"
    bench.advance(fires_at + TEMPO - bench.number)
    assert epochs(bench) == [fires_at, fires_at + TEMPO]
    assert bench.do("owner", "trigger_epoch", netuid=NETUID) == "TxRateLimitExceeded"
    bench.advance(fires_at + 2 * TEMPO - 2 - bench.number)
    assert bench.do("owner", "trigger_epoch", netuid=NETUID) == "AutoEpochAlreadyImminent"


def test_the_schedule_survives_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "chain"
    with running(state=state) as first, administer(first.url) as admin:
        due = admin.trigger_epoch(6)
        admin.advance(2)
        assert first.stop() == 0
    with running(state=state) as second, administer(second.url) as admin:
        before = admin.head()
        admin.set_hyperparameter("max_epochs_per_block", 1)
        admin.advance(due - admin.head())
        assert before < due == admin.head()
        assert admin.call("local_triggerEpoch", 0)["epoch_block"] == due + 1


@given(
    tempo=st.integers(1, 60),
    since_epoch=st.integers(0, 58),
    pending=st.integers(0, 30),
    period=st.integers(1, 3),
)
def test_the_sdk_predicts_the_epoch_that_runs(
    tempo: int, since_epoch: int, pending: int, period: int
) -> None:
    """The SDK's reveal round is that of the block in which the commit's epoch comes of age."""
    head = 1000 + min(since_epoch, tempo - 1)
    stored = Schedule(tempo, 1000, head + pending if pending else 0, 7, head - 1000)
    _, reveal_round = bittensor_core.get_encrypted_commit_v2(
        uids=[1],
        weights=[1],
        version_key=0,
        last_epoch_block=stored.last_epoch_block,
        pending_epoch_at=stored.pending_epoch_at,
        subnet_epoch_index=stored.epoch_index,
        tempo=tempo,
        blocks_since_last_step=stored.blocks_since_last_step,
        current_block=head,
        subnet_reveal_period_epochs=period,
        # So long that the time between two calls does not matter.
        block_time=3e6,
        hotkey=bytes(32),
    )
    blocks = _epochs_after(stored, head, period)
    now = (time.time() - DRAND_GENESIS) / DRAND_PERIOD
    expected = now + (blocks + REVEAL_MARGIN - head) * 1e6
    assert abs(reveal_round - expected) < 1e5


def _epochs_after(stored: Schedule, head: int, period: int) -> int:
    """The block of the `period`-th epoch after the one that a commit in the next block is in."""
    block, ran = head, 0
    current = stored
    while True:
        block += 1
        since = min(current.blocks_since_last_step + 1, current.tempo + 1)
        current = replace(current, blocks_since_last_step=since)
        if current.is_due(block):
            current = Schedule(current.tempo, block, 0, current.epoch_index + 1, 0)
            if block > head + 1:
                ran += 1
                if ran == period:
                    return block
