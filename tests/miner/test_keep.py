"""The chores: on a real chain server, and how they are repeated."""

import asyncio
import os
import signal
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from compute_horde.adapters.chain_port import Metagraph, Neuron
from localnet.chain.admin import administer
from localnet.chain.testing import running
from miner import keep
from miner.config import config
from miner.jobs.models import Job
from miner.keep import Chore, Keeper
from miner.receipts.models import Receipt
from miner.validators.models import Validator
from tests.miner.conftest import MINER, STRANGER, VALIDATOR

TAO = 10**9


class FakeChain:
    """A chain with one subnet."""

    def __init__(self, *neurons: Neuron) -> None:
        self.neurons = neurons
        self.served: list[tuple[str, int]] = []

    def metagraph(self, block: int | None = None) -> Metagraph:
        return Metagraph(1, self.neurons)

    def serve_axon(self, ip: str, port: int) -> None:
        self.served.append((ip, port))

    def __enter__(self) -> "FakeChain":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def neuron(keypair, stake=0, ip="0.0.0.0", port=0):
    return Neuron(0, keypair.ss58_address, "cold", stake * TAO, True, ip, port, 0)


def keeper(chain, **changes):
    told = {"chain_url": "ws://x", "external_ip": "127.0.0.1", "port": 8000, "trusted": False}
    it = Keeper(config.model_copy(update=told | {"serving": True} | changes), MINER)
    it._chain = lambda: chain
    return it


def test_without_a_chain_only_old_rows_are_forgotten():
    assert [chore.name for chore in keeper(None, chain_url=None).chores()] == ["evict"]


def test_a_trusted_miner_is_not_announced():
    chores = keeper(None, trusted=True).chores()
    assert [chore.name for chore in chores] == ["refresh validators", "evict"]


@pytest.mark.django_db(transaction=True)
def test_validators_are_taken_over_from_the_metagraph():
    keeper(FakeChain(neuron(VALIDATOR, 1000), neuron(STRANGER, 999))).refresh()
    row = Validator.objects.get()
    assert (row.hotkey, row.stake) == (VALIDATOR.ss58_address, Decimal(1000))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("ip", "port", "told"),
    [("127.0.0.1", 8000, []), ("127.0.0.1", 8001, [("127.0.0.1", 8000)])],
)
def test_a_miner_known_elsewhere_is_announced_at_once(ip, port, told):
    chain = FakeChain(neuron(MINER, 0, ip, port))
    keeper(chain).refresh()
    assert chain.served == told


def test_the_announced_port_may_differ_from_ours():
    chain = FakeChain()
    keeper(chain, external_port=4000).announce()
    assert chain.served == [("127.0.0.1", 4000)]


def test_our_address_is_the_one_that_packets_leave_from():
    assert keep.address_towards("ws://127.0.0.1:9944") == "127.0.0.1"


@pytest.mark.django_db(transaction=True)
def test_what_is_old_is_forgotten_and_what_goes_on_is_not():
    long_ago = timezone.now() - timedelta(days=3)
    states = {"completed": long_ago, "accepted": long_ago, "failed": timezone.now()}
    for number, (state, since) in enumerate(states.items()):
        Job.objects.create(
            uuid=f"00000000-0000-4000-8000-00000000000{number}",
            state=state,
            state_since=since,
            executor_token=str(number),
            offered="{}",
        )
    # Pages go whole; one with a receipt of a job that goes on stays whole.
    for number, page in ((0, 1), (0, 2), (1, 2)):
        Receipt.objects.create(
            job_uuid=f"00000000-0000-4000-8000-00000000000{number}",
            validator_hotkey=str(page),
            timestamp=long_ago,
            page=page,
        )
    keeper(None).evict()
    assert set(Job.objects.values_list("state", flat=True)) == {"accepted", "failed"}
    assert list(Receipt.objects.values_list("page", flat=True)) == [2, 2]


async def test_a_chore_that_fails_is_tried_again_soon(monkeypatch, caplog):
    monkeypatch.setattr(keep, "RETRY", timedelta(0))
    times, enough = [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def work():
        times.append(1)
        if len(times) < 3:
            raise RuntimeError("no")
        loop.call_soon_threadsafe(enough.set)

    repeating = asyncio.create_task(keep.repeat(Chore("try", timedelta(hours=1), work)))
    await asyncio.wait_for(enough.wait(), 5)
    repeating.cancel()
    assert "chore failed" in caplog.text
    assert len(times) == 3


async def test_a_chore_that_hangs_does_not_hold_up_the_others(monkeypatch):
    monkeypatch.setattr(keep, "LIMIT", timedelta(seconds=0.05))
    hanging = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang():
        asyncio.run_coroutine_threadsafe(hanging.wait(), loop).result()

    assert not await keep.attempt(Chore("hang", timedelta(hours=1), hang))
    hanging.set()
    await asyncio.sleep(0.05)


async def test_a_signal_ends_it():
    keeping = asyncio.create_task(keep.keep([]))
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(keeping, 5)


@pytest.mark.django_db(transaction=True)
def test_on_a_real_chain_the_miner_is_found_and_its_validator_heard(tmp_path, monkeypatch):
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path))
    with running(block_seconds=0.5) as chain, administer(chain.url) as ground:
        told = {"chain_url": chain.url, "external_ip": "192.0.2.1", "port": 4711, "netuid": 12}
        keeping = Keeper(config.model_copy(update=told | {"trusted": False}), MINER)
        for keypair, stake in ((MINER, 0), (VALIDATOR, 2000)):
            hotkey = keypair.ss58_address
            ground.add_neuron(hotkey, STRANGER.ss58_address, stake * TAO)
            ground.fund(hotkey, TAO)
        keeping.refresh()
        with keeping._chain() as reader:
            found = {n.hotkey: (n.ip, n.port) for n in reader.metagraph().neurons}
        assert found[MINER.ss58_address] == ("192.0.2.1", 4711)
        assert Validator.objects.get(active=True).hotkey == VALIDATOR.ss58_address
