"""Several processes that need each other."""

import asyncio
import os
import time

import pytest

from localnet.keeper import NeverReadyError, Process, State
from localnet.processes import Supervisor


def process(name, script, **options):
    return Process(name, ["sh", "-c", script], env=dict(os.environ), **options)


@pytest.fixture
def supervise(tmp_path):
    return lambda *table: Supervisor(table, lambda name: tmp_path / f"{name}.log")


async def test_each_starts_after_what_it_needs(supervise, tmp_path):
    order = tmp_path / "order"
    supervisor = supervise(
        process("third", f"echo third >> {order}; sleep 600", after=("second",)),
        process("second", f"sleep 0.1; echo second >> {order}", after=("first",), once=True),
        process("first", f"sleep 0.1; echo first >> {order}", once=True),
    )
    await asyncio.wait_for(supervisor.start(), 10)
    while order.read_text().count("\n") < 3:
        await asyncio.sleep(0.01)
    assert order.read_text().split() == ["first", "second", "third"]
    await supervisor.stop()


async def test_each_stops_after_those_that_need_it(supervise, tmp_path):
    order = tmp_path / "order"
    told = "trap 'sleep {pause}; echo {name} >> {order}; exit 0' TERM; while :; do sleep 0.02; done"
    supervisor = supervise(
        process("server", told.format(name="server", pause=0, order=order)),
        process("client", told.format(name="client", pause=0.3, order=order), after=("server",)),
    )
    await supervisor.start()
    await asyncio.sleep(0.2)
    await supervisor.stop()
    assert order.read_text().split() == ["client", "server"]
    assert {keeper.state for keeper in supervisor.keepers.values()} == {State.STOPPED}


async def test_one_that_fails_fails_the_start_at_once(supervise):
    supervisor = supervise(
        process("steady", "sleep 600"),
        process("broken", "exit 7", once=True),
        process("waiting", "sleep 600", after=("broken",)),
    )
    began = time.monotonic()
    with pytest.raises(NeverReadyError, match="broken: ended with exit code 7"):
        await supervisor.start()
    assert time.monotonic() - began < 5
    await supervisor.stop()
    assert supervisor.keepers["steady"].state is State.STOPPED
    assert supervisor.keepers["broken"].state is State.FAILED
