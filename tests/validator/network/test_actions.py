"""What is stored of the subnet."""

import pytest
from django.utils import timezone

from compute_horde.addresses import Reach
from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from tests.peers.keys import VALIDATOR
from tests.peers.miner import MinerPeer
from tests.peers.websocket_server import serving
from tests.validator.chains import FakeChain, neuron
from tests.validator.conftest import LOOPBACK, remember
from validator.miners import manifest_poll
from validator.miners.connection import Address
from validator.network import actions
from validator.network.actions import ServingMiner
from validator.network.models import Manifest, Neuron, Snapshot

pytestmark = pytest.mark.django_db(transaction=True)

HERE = Reach(networks=LOOPBACK)
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
    notified: list[str] = []
    monkeypatch.setattr(actions, "notify", notified.append)
    chain = FakeChain(neurons=[neuron(0, "a")])
    for _ in range(2):
        actions.refresh_metagraph(chain)
    assert notified == ["validator_network"]
    chain.neurons = [neuron(0, "a", port=1)]
    actions.refresh_metagraph(chain)
    assert len(notified) == 2


def test_a_new_manifest_replaces_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    notified: list[str] = []
    monkeypatch.setattr(actions, "notify", notified.append)
    actions.store_manifest("a", {TEST: 2, GPU: 1})
    actions.store_manifest("a", {TEST: 2, GPU: 1})
    assert len(notified) == 1
    actions.store_manifest("a", {TEST: 3})
    actions.store_manifest("b", {})
    assert list(Manifest.objects.values_list("hotkey", "executor_class", "count")) == [
        ("a", "always_on.test", 3)
    ]
    assert len(notified) == 2


def test_serving_miners_are_those_with_an_address_but_not_ourselves() -> None:
    actions.refresh_metagraph(
        FakeChain(neurons=[neuron(0, "us"), neuron(1, "a"), neuron(2, "b", port=0)])
    )
    actions.store_manifest("a", {TEST: 2})
    Manifest.objects.create(hotkey="a", executor_class="of.old", count=1, heard_at=timezone.now())
    assert actions.serving_miners("us", HERE) == [ServingMiner("a", "127.0.0.1", 8001, {TEST: 2})]


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
        answers = await manifest_poll.poll(addresses, VALIDATOR, 2.0)
    assert {hotkey: dict(m.manifest) for hotkey, m in answers.items()} == {"here": {TEST: 4}}
    assert gone.received == []


async def test_polled_manifests_are_stored() -> None:
    miner = MinerPeer(manifest={"always_on.test": 4})
    async with serving(miner):
        await in_database(remember, miner)
        await in_database(actions.store_manifest, "other", {TEST: 1})
        await in_database(actions.poll_manifests, VALIDATOR, HERE, 2.0)
    rows = Manifest.objects.order_by("count").values_list("hotkey", "count")
    assert await in_database(lambda: list(rows)) == [("other", 1), (miner.hotkey, 4)]


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1",
        "10.0.0.7",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "fd00::1",
        "::ffff:10.0.0.7",
        "nonsense",
    ],
)
def test_a_miner_whose_address_is_in_a_network_of_ours_is_not_connected_to(ip: str) -> None:
    for uid, (hotkey, where) in enumerate([("inside", ip), ("outside", "8.8.8.8")]):
        Neuron.objects.create(
            hotkey=hotkey, coldkey=hotkey, uid=uid, ip=where, port=8001, seen_at=timezone.now()
        )
    found = [miner.hotkey for miner in actions.serving_miners("us", Reach())]
    assert found == ["outside"]
