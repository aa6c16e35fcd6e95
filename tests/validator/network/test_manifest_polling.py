"""Polls of manifests, and the commitments of miners that do not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from compute_horde.adapters.chain_port import ChainUnreachable
from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.capacity import MainHotkey
from tests.peers.miner import MinerPeer
from tests.peers.websocket_server import serving
from tests.validator.chains import FakeChain
from tests.validator.conftest import configured, remember
from validator.network.main_hotkeys import main_hotkeys
from validator.network.manifest_polling import committed_manifests, poll_manifests
from validator.network.manifest_store import store_manifest
from validator.network.models import Fact, Manifest, ManifestStatus, ObservedBlocks, Snapshot

pytestmark = pytest.mark.django_db(transaction=True)

TEST = ExecutorClass.always_on__test
AT_ONCE = timedelta(0)
QUICK: dict[str, Any] = {"manifest_timeout_seconds": 2.0, "manifest_seconds": 60.0}


class CommittingChain(FakeChain):
    """A chain with commitments."""

    def __init__(self, commitments: dict[str, str]) -> None:
        super().__init__()
        self._commitments = commitments
        self.opened = 0

    def commitments(self) -> dict[str, str]:
        if self.problems:
            raise self.problems.pop(0)
        return self._commitments

    @contextmanager
    def open(self) -> Iterator["CommittingChain"]:
        self.opened += 1
        yield self


def stored() -> list[tuple[str, int, str]]:
    return list(Manifest.objects.order_by("hotkey").values_list("hotkey", "count", "source"))


async def test_polled_manifests_are_stored_and_the_chain_is_not_needed() -> None:
    miner, chain = MinerPeer(manifest={"always_on.test": 4}), CommittingChain({})
    async with serving(miner):
        await in_database(remember, miner)
        await in_database(store_manifest, "other", {TEST: 1}, AT_ONCE)
        await in_database(poll_manifests, configured(**QUICK), chain.open)
    rows = Manifest.objects.order_by("count").values_list("hotkey", "count")
    assert await in_database(lambda: list(rows)) == [("other", 1), (miner.hotkey, 4)]
    assert chain.opened == 0


async def test_a_miner_that_misses_one_poll_keeps_its_manifest() -> None:
    away = MinerPeer()
    away.port = 1
    chain = CommittingChain({away.hotkey: "<M:T9>"})
    await in_database(remember, away)
    await in_database(store_manifest, away.hotkey, {TEST: 3}, AT_ONCE)
    answered = await in_database(lambda: ManifestStatus.objects.get().answered_at)
    await in_database(poll_manifests, configured(**QUICK), chain.open)
    assert await in_database(stored) == [(away.hotkey, 3, "miner")]
    assert await in_database(lambda: ManifestStatus.objects.get().answered_at) == answered


async def test_the_commitment_of_a_miner_that_is_silent_for_long_is_used() -> None:
    away = MinerPeer()
    away.port = 1
    chain = CommittingChain({away.hotkey: "shop<M:C1;T9>", "other": "<M:T1>"})
    await in_database(remember, away)
    await in_database(store_manifest, away.hotkey, {TEST: 3}, AT_ONCE)
    long_ago = timezone.now() - timedelta(seconds=181)
    await in_database(ManifestStatus.objects.update, answered_at=long_ago)
    await in_database(poll_manifests, configured(**QUICK), chain.open)
    assert await in_database(stored) == [(away.hotkey, 1, "chain"), (away.hotkey, 9, "chain")]


async def test_miners_are_asked_for_their_main_hotkey_once_per_cycle() -> None:
    miner = MinerPeer(lambda one, _: [MainHotkey(main_hotkey=one.hotkey)])
    options = QUICK | {"netuid": 8}
    async with serving(miner):
        await in_database(remember, miner)
        for block in (104, 110, 115):
            await in_database(Snapshot.objects.create, block=block, tempo=9, neurons=1)
            await in_database(poll_manifests, configured(**options), CommittingChain({}).open)
    assert await in_database(lambda: main_hotkeys(100, 101)) == {miner.hotkey: miner.hotkey}
    assert miner.received == [MainHotkey()]


def test_commitments_that_cannot_be_read_are_left_out() -> None:
    chain = CommittingChain({"a": "<M:>", "b": "no manifest", "c": "<M:T2>"})
    assert committed_manifests(["a", "b", "d"], chain.open) == {"a": {}}
    assert committed_manifests([], chain.open) == {}
    assert chain.opened == 1
    chain.problems.append(ChainUnreachable("away"))
    assert committed_manifests(["a"], chain.open) == {}


def poll_at(block: int) -> None:
    Snapshot.objects.create(block=block, tempo=9, neurons=0)
    poll_manifests(configured(**QUICK), CommittingChain({}).open)


def runs() -> list[tuple[int, int]]:
    return list(ObservedBlocks.objects.order_by("id").values_list("first_block", "last_block"))


def test_polls_in_time_make_one_run_of_observed_blocks() -> None:
    poll_manifests(configured(**QUICK), CommittingChain({}).open)
    assert runs() == []
    for block in (100, 125, 150):
        poll_at(block)
    assert runs() == [(100, 150)]
    ObservedBlocks.objects.update(last_at=timezone.now() - timedelta(seconds=200))
    poll_at(1000)
    assert runs() == [(100, 150), (1000, 1000)]


async def test_a_block_that_is_called_observed_has_the_manifests_that_were_polled() -> None:
    """Otherwise miners of a new validator would seem to have offered nothing before."""
    miner = MinerPeer(manifest={"always_on.test": 4})
    async with serving(miner):
        await in_database(remember, miner)
        await in_database(poll_at, 100)
    facts = Fact.objects.filter(kind=Fact.Kind.MANIFEST)
    found = await in_database(lambda: list(facts.values_list("subject", "value", "from_block")))
    assert found == [(miner.hotkey, 4, 100)]
