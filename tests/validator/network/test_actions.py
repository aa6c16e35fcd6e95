"""What is remembered of the subnet."""

import pytest
from django.utils import timezone

from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from tests.validator.chains import FakeChain, neuron
from tests.validator.conftest import remember
from tests.validator.peers import VALIDATOR, MinerPeer, serving
from validator.jobs.lines import Address
from validator.network import actions, manifests
from validator.network.actions import ServingMiner
from validator.network.models import Manifest, Neuron, Snapshot

pytestmark = pytest.mark.django_db(transaction=True)

TEST, GPU = ExecutorClass.always_on__test, ExecutorClass.always_on__gpu_24gb


def test_the_metagraph_is_remembered_and_updated() -> None:
    chain = FakeChain(block=5, neurons=[neuron(0, "a", total_stake_rao=7), neuron(1, "b")])
    actions.refresh_metagraph(chain)
    chain.neurons, chain.block = [neuron(1, "c", port=0), neuron(0, "a", ip="1.1.1.1")], 6
    actions.refresh_metagraph(chain)
    rows = Neuron.objects.order_by("hotkey").values_list("hotkey", "ip", "port", "registered")
    assert list(rows) == [
        ("a", "1.1.1.1", 8000, True),
        ("b", "127.0.0.1", 8001, False),
        ("c", "127.0.0.1", 0, True),
    ]
    assert list(Snapshot.objects.values_list("block", "tempo", "neurons")) == [
        (6, 9, 2),
        (5, 9, 2),
    ]


def test_the_listener_hears_only_of_changed_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(actions, "notify", told.append)
    chain = FakeChain(neurons=[neuron(0, "a")])
    for _ in range(2):
        actions.refresh_metagraph(chain)
    assert told == ["validator_network"]
    chain.neurons = [neuron(0, "a", port=1)]
    actions.refresh_metagraph(chain)
    assert len(told) == 2


def test_a_new_manifest_replaces_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(actions, "notify", told.append)
    actions.store_manifest("a", {TEST: 2, GPU: 1})
    actions.store_manifest("a", {TEST: 2, GPU: 1})
    assert len(told) == 1
    actions.store_manifest("a", {TEST: 3})
    actions.store_manifest("b", {})
    assert list(Manifest.objects.values_list("hotkey", "executor_class", "count")) == [
        ("a", "always_on.test", 3)
    ]
    assert len(told) == 2


def test_serving_miners_are_those_with_an_address_but_not_ourselves() -> None:
    actions.refresh_metagraph(
        FakeChain(neurons=[neuron(0, "us"), neuron(1, "a"), neuron(2, "b", port=0)])
    )
    actions.store_manifest("a", {TEST: 2})
    Manifest.objects.create(hotkey="a", executor_class="of.old", count=1, heard_at=timezone.now())
    assert actions.serving_miners("us") == [ServingMiner("a", "127.0.0.1", 8001, {TEST: 2})]


async def test_manifests_are_asked_for_and_silence_changes_nothing() -> None:
    here, gone = MinerPeer(manifest={"always_on.test": 4}), MinerPeer()
    refusing = MinerPeer()
    refusing.accepts_logins = False
    async with serving(here, refusing):
        addresses = [
            Address("here", "127.0.0.1", here.port),
            Address("gone", "127.0.0.1", 1),
            Address("refusing", "127.0.0.1", refusing.port),
        ]
        answers = await manifests.poll(addresses, VALIDATOR, 2.0)
    assert {hotkey: dict(m.manifest) for hotkey, m in answers.items()} == {"here": {TEST: 4}}
    assert gone.heard == []


async def test_polled_manifests_are_stored() -> None:
    miner = MinerPeer(manifest={"always_on.test": 4})
    async with serving(miner):
        await in_database(remember, miner)
        await in_database(actions.store_manifest, "other", {TEST: 1})
        await in_database(actions.poll_manifests, VALIDATOR, 2.0)
    rows = Manifest.objects.order_by("count").values_list("hotkey", "count")
    assert await in_database(lambda: list(rows)) == [("other", 1), (miner.hotkey, 4)]
