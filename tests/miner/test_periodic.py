"""The periodic tasks: on a real chain server, and how they are repeated."""

import asyncio
import os
import signal
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import F
from django.utils import timezone

from compute_horde.adapters.chain_port import ChainUnreachable, Hyperparameters, Metagraph, Neuron
from compute_horde.cycles import cycle_at
from localnet.chain.admin import administer
from localnet.chain.testing import running
from miner import periodic
from miner.config import config
from miner.hotkeys.models import CycleMainHotkey
from miner.hotkeys.served import ServedHotkey
from miner.jobs.models import Job
from miner.periodic import PeriodicTask, PeriodicTasks
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

    def hyperparameters(self) -> Hyperparameters:
        return Hyperparameters(359, 0, 0, 0, 0, False, 0, 0)

    def serve_axon(self, ip: str, port: int) -> None:
        self.served.append((ip, port))

    def __enter__(self) -> "FakeChain":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def neuron(keypair, stake=0, ip="0.0.0.0", port=0):
    return Neuron(0, keypair.ss58_address, "cold", stake * TAO, True, ip, port, 0)


def periodic_tasks(chain, others=(), **changes):
    settings = {"chain_url": "ws://x", "external_ip": "127.0.0.1", "port": 8000, "trusted": False}
    changed = config.model_copy(update=settings | {"serving": True} | changes)
    it = PeriodicTasks(changed, MINER, others)
    it._chain = lambda _: chain
    return it


def test_without_a_chain_only_what_does_not_use_it_is_done():
    tasks = periodic_tasks(None, chain_url=None).tasks()
    assert [task.name for task in tasks] == ["evict", "read scores and prices"]


def test_a_trusted_miner_is_not_announced():
    tasks = periodic_tasks(None, trusted=True).tasks()
    assert [task.name for task in tasks] == [
        "refresh validators",
        "evict",
        "read scores and prices",
    ]


@pytest.mark.django_db(transaction=True)
def test_validators_are_stored_from_the_metagraph():
    periodic_tasks(FakeChain(neuron(VALIDATOR, 1000), neuron(STRANGER, 999))).refresh()
    row = Validator.objects.get()
    assert (row.hotkey, row.stake) == (VALIDATOR.ss58_address, Decimal(1000))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("ip", "port", "announced"),
    [("127.0.0.1", 8000, []), ("127.0.0.1", 8001, [("127.0.0.1", 8000)])],
)
def test_a_miner_registered_with_another_address_is_announced_at_once(ip, port, announced):
    chain = FakeChain(neuron(MINER, 0, ip, port))
    periodic_tasks(chain).refresh()
    assert chain.served == announced


@pytest.mark.django_db(transaction=True)
def test_further_hotkeys_are_announced_at_their_own_ports_though_one_cannot_be():
    class RefusingChain(FakeChain):
        def serve_axon(self, ip: str, port: int) -> None:
            if port == 8000:
                raise ChainUnreachable("away")
            super().serve_axon(ip, port)

    chain = RefusingChain(neuron(MINER, 0, "127.0.0.1", 1), neuron(STRANGER, 0, "127.0.0.1", 1))
    others = [ServedHotkey(STRANGER, 8001, 8001)]
    with pytest.raises(ChainUnreachable):
        periodic_tasks(chain, others).refresh()
    assert chain.served == [("127.0.0.1", 8001)]


@pytest.mark.django_db(transaction=True)
def test_the_main_hotkey_of_a_cycle_is_decided_when_it_is_first_seen():
    hotkeys = {"main_hotkeys": ("a", "b"), "netuid": 12}
    periodic_tasks(FakeChain(), **hotkeys).refresh()
    row = CycleMainHotkey.objects.get()
    cycle = cycle_at(1, netuid=12, tempo=359)
    assert (row.cycle_start, row.cycle_stop, row.number) == (cycle.start, cycle.stop, cycle.number)
    assert row.hotkey == "ab"[cycle.number % 2]


def test_the_announced_port_may_differ_from_the_local_one():
    chain = FakeChain(neuron(MINER))
    periodic_tasks(chain, external_port=4000).announce()
    assert chain.served == [("127.0.0.1", 4000)]


def test_a_hotkey_that_is_not_registered_is_not_announced_and_logged_once(caplog):
    chain = FakeChain(neuron(MINER))
    it = periodic_tasks(chain, [ServedHotkey(STRANGER, 8001, 8001)])
    for _ in range(2):
        it.announce()
    assert chain.served == [("127.0.0.1", 8000)] * 2
    absent = [one for one in caplog.records if "not registered in the subnet" in one.message]
    assert [one.hotkey for one in absent] == [STRANGER.ss58_address]
    chain.neurons = (neuron(STRANGER),)
    it.announce()
    assert chain.served[2:] == [("127.0.0.1", 8001)]


def test_after_a_failure_only_what_failed_is_announced_again():
    class RefusingChain(FakeChain):
        is_away = True

        def serve_axon(self, ip: str, port: int) -> None:
            if port == 8000 and self.is_away:
                raise ChainUnreachable("away")
            super().serve_axon(ip, port)

    chain = RefusingChain(neuron(MINER), neuron(STRANGER))
    it = periodic_tasks(chain, [ServedHotkey(STRANGER, 8001, 8001)])
    for _ in range(2):
        with pytest.raises(ChainUnreachable):
            it.announce()
    assert chain.served == [("127.0.0.1", 8001)]
    chain.is_away = False
    it.announce()
    assert chain.served == [("127.0.0.1", 8001), ("127.0.0.1", 8000)]
    it.announce()
    assert sorted(chain.served[2:]) == [("127.0.0.1", 8000), ("127.0.0.1", 8001)]


@pytest.mark.django_db(transaction=True)
def test_old_rows_are_deleted_except_those_of_active_jobs():
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
    Job.objects.update(created_at=F("state_since"))
    # Pages are deleted whole; one with a receipt of an active job is kept whole.
    for number, page in ((0, 1), (0, 2), (1, 2)):
        Receipt.objects.create(
            job_uuid=f"00000000-0000-4000-8000-00000000000{number}",
            validator_hotkey=str(page),
            timestamp=long_ago,
            page=page,
        )
    periodic_tasks(None).evict()
    assert set(Job.objects.values_list("state", flat=True)) == {"accepted", "failed"}
    assert list(Receipt.objects.values_list("page", flat=True)) == [2, 2]


async def test_a_task_that_fails_is_repeated_soon(monkeypatch, caplog):
    monkeypatch.setattr(periodic, "RETRY", timedelta(0))
    times, enough = [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def work():
        times.append(1)
        if len(times) < 3:
            raise RuntimeError("no")
        loop.call_soon_threadsafe(enough.set)

    repeating = asyncio.create_task(periodic.repeat(PeriodicTask("try", timedelta(hours=1), work)))
    await asyncio.wait_for(enough.wait(), 30)
    repeating.cancel()
    assert "periodic task failed" in caplog.text
    assert len(times) == 3


async def test_a_task_that_hangs_raises_an_error(monkeypatch):
    monkeypatch.setattr(periodic, "TIME_LIMIT", timedelta(seconds=0.05))
    released = threading.Event()
    with pytest.raises(periodic.TaskHangsError):
        await periodic.run_once(PeriodicTask("hang", timedelta(hours=1), released.wait))
    released.set()
    await asyncio.sleep(0.05)


async def test_a_task_that_hangs_is_not_started_again_before_it_ends(monkeypatch, caplog):
    monkeypatch.setattr(periodic, "TIME_LIMIT", timedelta(seconds=0.05))
    monkeypatch.setattr(periodic, "RETRY", timedelta(0))
    monkeypatch.setattr(periodic, "MAX_WAITS", 1000)
    loop, logged_twice, released = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    again, in_progress, counts = asyncio.Event(), [], []

    def hang():
        in_progress.append(1)
        counts.append(len(in_progress))
        if len(counts) == 2:
            loop.call_soon_threadsafe(again.set)
        released.wait()
        in_progress.pop()

    def count_hangs(*_, **__):
        if len([record for record in caplog.records if record.msg == "periodic task hangs"]) >= 2:
            logged_twice.set()
        return True

    periodic.log.addFilter(count_hangs)
    repeating = asyncio.create_task(periodic.repeat(PeriodicTask("hang", timedelta(0), hang)))
    try:
        await asyncio.wait_for(logged_twice.wait(), 10)
        assert counts == [1]
        released.set()
        await asyncio.wait_for(again.wait(), 10)
    finally:
        periodic.log.removeFilter(count_hangs)
        repeating.cancel()
    assert set(counts) == {1}


async def test_a_task_that_never_ends_ends_the_process(monkeypatch):
    monkeypatch.setattr(periodic, "TIME_LIMIT", timedelta(seconds=0.05))
    # Its thread may only come to run when this test and its loop are over.
    released = threading.Event()
    hanging = PeriodicTask("hang", timedelta(0), released.wait)
    with pytest.raises(periodic.TaskHangsError, match="'hang' does not end"):
        await asyncio.wait_for(periodic.repeat(hanging), 10)
    released.set()


async def test_a_signal_ends_it():
    running_tasks = asyncio.create_task(periodic.keep([]))
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running_tasks, 30)


@pytest.mark.django_db(transaction=True)
def test_on_a_real_chain_the_miner_is_announced_and_its_validator_accepted(tmp_path, monkeypatch):
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path))
    with running(block_seconds=0.5) as chain, administer(chain.url) as chain_admin:
        settings = {"chain_url": chain.url, "external_ip": "192.0.2.1", "port": 4711, "netuid": 12}
        running_tasks = PeriodicTasks(
            config.model_copy(update=settings | {"trusted": False}), MINER
        )
        for keypair, stake in ((MINER, 0), (VALIDATOR, 2000)):
            hotkey = keypair.ss58_address
            chain_admin.add_neuron(hotkey, STRANGER.ss58_address, stake * TAO)
            chain_admin.fund(hotkey, TAO)
        running_tasks.refresh()
        with running_tasks._chain(MINER) as reader:
            found = {n.hotkey: (n.ip, n.port) for n in reader.metagraph().neurons}
        assert found[MINER.ss58_address] == ("192.0.2.1", 4711)
        assert Validator.objects.get(active=True).hotkey == VALIDATOR.ss58_address
