"""The newest manifest for placement, and the effective one for scoring."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from compute_horde.hardware import ExecutorClass
from tests.validator.chains import FakeChain, neuron
from validator.network import actions, manifest_store
from validator.network.history import network_at
from validator.network.manifest_store import store_manifest, store_manifests
from validator.network.models import Manifest, ManifestSource, ManifestStatus

pytestmark = pytest.mark.django_db

TEST, GPU = ExecutorClass.always_on__test, ExecutorClass.always_on__gpu_24gb
AT_ONCE, TWO_HOURS = timedelta(0), timedelta(hours=2)
MORNING = timezone.now().replace(hour=8, minute=0)


class Clock:
    """The time of the store, set by a test."""

    def __init__(self) -> None:
        self.time = MORNING

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(manifest_store, "timezone", one)
    monkeypatch.setattr(actions, "timezone", one)
    return one


def newest() -> list[tuple[str, str, int]]:
    return list(Manifest.objects.values_list("hotkey", "executor_class", "count"))


def test_a_new_manifest_replaces_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    notified: list[str] = []
    monkeypatch.setattr(manifest_store, "notify", notified.append)
    store_manifest("a", {TEST: 2, GPU: 1}, AT_ONCE)
    store_manifest("a", {TEST: 2, GPU: 1}, AT_ONCE)
    assert len(notified) == 1
    store_manifest("a", {TEST: 3}, AT_ONCE)
    store_manifest("b", {}, AT_ONCE)
    assert newest() == [("a", "always_on.test", 3)]
    assert len(notified) == 2


def test_many_manifests_are_stored_in_few_queries(django_assert_max_num_queries) -> None:
    reports = {f"m{number}": {TEST: number, GPU: 1} for number in range(256)}
    with django_assert_max_num_queries(12):
        store_manifests(reports, TWO_HOURS)
    assert Manifest.objects.count() == 512
    assert ManifestStatus.objects.get(pk="m3").effective == {"always_on.test": 3, GPU.value: 1}


def test_jobs_follow_the_newest_report_and_scoring_the_effective_one(clock: Clock) -> None:
    chain = FakeChain(block=100, neurons=[neuron(0, "a")])
    reports = [(0, 4, 4), (10, 2, 4), (119, 2, 4), (120, 2, 2), (130, 5, 2)]
    for number, (minute, count, effective) in enumerate(reports):
        clock.time = MORNING + timedelta(minutes=minute)
        store_manifest("a", {TEST: count}, TWO_HOURS)
        chain.block = 101 + number
        actions.refresh_metagraph(chain)
        assert newest() == [("a", "always_on.test", count)]
        assert network_at(chain.block).manifests == {"a": {"always_on.test": effective}}, minute
    # What held before is not rewritten.
    assert network_at(101).manifests == {"a": {"always_on.test": 4}}


def test_a_pending_manifest_becomes_effective_without_another_report(clock: Clock) -> None:
    chain = FakeChain(block=100, neurons=[neuron(0, "a")])
    store_manifest("a", {TEST: 4}, TWO_HOURS)
    clock.time += timedelta(minutes=5)
    store_manifest("a", {}, TWO_HOURS)
    row = ManifestStatus.objects.get()
    assert (row.effective, row.pending) == ({"always_on.test": 4}, {})
    assert (row.reported_at, row.counts_from) == (clock.time, MORNING + TWO_HOURS)
    actions.refresh_metagraph(chain)
    assert network_at(100).manifests == {"a": {"always_on.test": 4}}
    clock.time, chain.block = MORNING + TWO_HOURS, 700
    actions.refresh_metagraph(chain)
    assert network_at(699).manifests == {"a": {"always_on.test": 4}}
    assert network_at(700).manifests == {}
    row.refresh_from_db()
    assert (row.effective, row.pending, row.counts_from) == ({}, None, None)


def test_only_the_miner_itself_counts_as_an_answer(clock: Clock) -> None:
    store_manifest("a", {TEST: 1}, AT_ONCE)
    clock.time += timedelta(hours=1)
    store_manifests({"a": {TEST: 2}}, AT_ONCE, ManifestSource.CHAIN)
    assert ManifestStatus.objects.get().answered_at == MORNING
    row = Manifest.objects.get()
    assert (row.count, row.source, row.heard_at) == (2, "chain", clock.time)


def test_a_miner_that_left_offers_nothing_in_the_log() -> None:
    chain = FakeChain(block=100, neurons=[neuron(0, "a")])
    store_manifest("a", {TEST: 1}, AT_ONCE)
    actions.refresh_metagraph(chain)
    chain.block, chain.neurons = 110, [neuron(0, "b")]
    actions.refresh_metagraph(chain)
    assert (network_at(109).manifests, network_at(110).manifests) == (
        {"a": {"always_on.test": 1}},
        {},
    )
