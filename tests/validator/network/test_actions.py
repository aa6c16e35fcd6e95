"""What is stored of the subnet."""

from datetime import timedelta

import pytest
from django.utils import timezone

from compute_horde.addresses import Reach
from compute_horde.hardware import ExecutorClass
from tests.validator.chains import FakeChain, neuron
from tests.validator.conftest import LOOPBACK
from validator.network import actions
from validator.network.actions import ServingMiner
from validator.network.history import network_at
from validator.network.manifest_store import store_manifest
from validator.network.models import Manifest, Neuron, Snapshot

pytestmark = pytest.mark.django_db(transaction=True)

HERE = Reach(networks=LOOPBACK)
TEST = ExecutorClass.always_on__test
AT_ONCE = timedelta(0)


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


def test_serving_miners_are_those_with_an_address_but_not_ourselves() -> None:
    actions.refresh_metagraph(
        FakeChain(neurons=[neuron(0, "us"), neuron(1, "a"), neuron(2, "b", port=0)])
    )
    store_manifest("a", {TEST: 2}, AT_ONCE)
    Manifest.objects.create(hotkey="a", executor_class="of.old", count=1, heard_at=timezone.now())
    assert actions.serving_miners("us", HERE) == [ServingMiner("a", "127.0.0.1", 8001, {TEST: 2})]


def test_a_read_of_an_older_block_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    chain = FakeChain(block=6, neurons=[neuron(0, "a")])
    actions.refresh_metagraph(chain)
    chain.block, chain.neurons = 5, []
    actions.refresh_metagraph(chain)
    assert Neuron.objects.get().registered
    assert "behind what was read before" in caplog.text


def test_a_block_that_was_never_reached_is_not_believed_for_ever() -> None:
    actions.refresh_metagraph(FakeChain(block=10**9, neurons=[neuron(0, "a")]))
    Snapshot.objects.update(taken_at=timezone.now() - timedelta(seconds=601))
    actions.refresh_metagraph(FakeChain(block=7, neurons=[neuron(0, "a"), neuron(1, "b")]))
    assert actions.latest_snapshot(timedelta(minutes=1)).block == 7
    assert Neuron.objects.filter(registered=True).count() == 2


def test_a_refresh_logs_hyperparameters_and_effective_manifests_at_its_block() -> None:
    chain = FakeChain(block=25, neurons=[neuron(0, "a")])
    actions.refresh_metagraph(chain)
    store_manifest("a", {TEST: 2}, AT_ONCE)
    store_manifest("stranger", {TEST: 2}, AT_ONCE)
    chain.block, chain.tempo = 27, 11
    actions.refresh_metagraph(chain)
    before, now = network_at(26), network_at(27)
    assert (before.manifests, now.manifests) == ({}, {"a": {"always_on.test": 2}})
    assert [state.hyperparameters["tempo"] for state in (before, now)] == [9, 11]


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
