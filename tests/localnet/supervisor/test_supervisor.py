"""Several processes with dependencies."""

import asyncio
import os

import pytest

from localnet.supervisor.supervised_process import NeverReadyError, ProcessSpec, ProcessState
from localnet.supervisor.supervisor import Supervisor
from tests.eventually import eventually


def process(name, script, **options):
    return ProcessSpec(name, ["sh", "-c", script], env=dict(os.environ), **options)


@pytest.fixture
def supervise(tmp_path):
    return lambda *table: Supervisor(table, lambda name: tmp_path / f"{name}.log")


async def test_each_starts_after_its_dependencies(supervise, tmp_path):
    order = tmp_path / "order"
    supervisor = supervise(
        process("third", f"echo third >> {order}; sleep 600", depends_on=("second",)),
        process(
            "second", f"sleep 0.1; echo second >> {order}", depends_on=("first",), is_oneshot=True
        ),
        process("first", f"sleep 0.1; echo first >> {order}", is_oneshot=True),
    )
    await asyncio.wait_for(supervisor.start(), 30)
    await eventually(lambda: order.read_text().count("\n") == 3)
    assert order.read_text().split() == ["first", "second", "third"]
    await supervisor.stop()


async def test_each_stops_after_those_that_depend_on_it(supervise, tmp_path):
    order = tmp_path / "order"
    script = (
        "trap 'sleep {pause}; echo {name} >> {order}; exit 0' TERM; touch {order}.{name}; "
        "while :; do sleep 0.02; done"
    )
    supervisor = supervise(
        process("server", script.format(name="server", pause=0, order=order)),
        process(
            "client", script.format(name="client", pause=0.3, order=order), depends_on=("server",)
        ),
    )
    await supervisor.start()
    await eventually(lambda: len(list(tmp_path.glob("order.*"))) == 2)
    await supervisor.stop()
    assert order.read_text().split() == ["client", "server"]
    assert {supervised.state for supervised in supervisor.processes.values()} == {
        ProcessState.STOPPED
    }


async def test_one_that_fails_fails_the_start_at_once(supervise):
    supervisor = supervise(
        process("steady", "sleep 600"),
        process("broken", "exit 7", is_oneshot=True),
        process("waiting", "sleep 600", depends_on=("broken",)),
    )
    with pytest.raises(NeverReadyError, match="broken: ended with exit code 7"):
        await asyncio.wait_for(supervisor.start(), 60)
    await supervisor.stop()
    assert supervisor.processes["steady"].state is ProcessState.STOPPED
    assert supervisor.processes["broken"].state is ProcessState.FAILED
