"""The rounds of probes while a batch runs, and the load of the machine."""

import pytest

from tests.eventually import eventually
from tests.validator.synthetic.control.servers import ProbedServer, probed
from validator.synthetic.control import watch
from validator.synthetic.control.faults import FaultKind, Target
from validator.synthetic.control.probes import Probe, reaches
from validator.synthetic.control.watch import ControlWatch, load_problem
from validator.synthetic.loop_delay import LoopDelay


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ROUND_SECONDS", 0.02)
    monkeypatch.setattr(watch, "RETRY_SECONDS", 0.01)


def probe(server: ProbedServer, kind: FaultKind | None = FaultKind.CHAIN) -> Probe:
    return Probe(Target(kind, server.address), reaches("127.0.0.1", server.port))


async def test_a_server_that_fails_and_comes_back_has_a_fault_with_an_end() -> None:
    server = ProbedServer()
    async with probed(server):
        one = probe(server)
        async with ControlWatch([one, one], {}, LoopDelay()) as watched:
            record = watched.records[one.target]
            server.fail()
            await eventually(lambda: record.failing)
            await server.start()
            await eventually(lambda: not record.failing)
            await watched.finish()
    (fault,) = watched.faults([])
    assert (fault.kind, fault.target) == (FaultKind.CHAIN, server.address)
    assert watched.began <= fault.since < fault.until
    assert "ConnectionRefusedError" in fault.problem


async def test_a_failure_while_this_process_is_late_itself_tells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = ProbedServer()
    async with probed(server):
        delay = LoopDelay()
        async with ControlWatch([probe(server)], {}, delay) as watched:
            monkeypatch.setattr(delay, "worst_until_now", lambda since: 2.0)
            server.fail()
            await watched.finish()
    assert watched.faults([]) == []


async def test_what_fails_once_and_then_works_is_no_fault() -> None:
    server = ProbedServer()
    tried: list[str] = []

    async def flaky(client: object) -> str:
        tried.append("")
        return "refused" if len(tried) == 2 else ""

    target = Target(FaultKind.BUCKET, "bucket")
    async with probed(server), ControlWatch([Probe(target, flaky)], {}, LoopDelay()) as watched:
        await watched.finish()
    assert len(tried) >= 3
    assert watched.faults([]) == []


async def test_a_lost_default_route_is_a_fault_of_the_uplink(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "has_default_route", lambda: True)
    async with ControlWatch([], {}, LoopDelay()) as watched:
        monkeypatch.setattr(watch, "has_default_route", lambda: False)
        await watched.finish()
    assert [(one.kind, one.target) for one in watched.faults([])] == [
        (FaultKind.UPLINK, "default route")
    ]


async def test_a_machine_without_a_default_route_has_not_lost_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "has_default_route", lambda: False)
    async with ControlWatch([], {}, LoopDelay()) as watched:
        await watched.finish()
    assert watched.faults([]) == []


async def test_an_overloaded_machine_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "thread_time", lambda: 0.0)
    monkeypatch.setattr(watch, "LOAD_SECONDS", 0.0)
    delay = LoopDelay()
    async with ControlWatch([], {}, delay) as watched:
        delay.late_seconds += 1000
        await watched.finish()
    assert [one.kind for one in watched.faults([])] == [FaultKind.LOAD]


@pytest.mark.parametrize(
    ("seconds", "late", "worked", "is_overload"),
    [
        (5, 3, 0.5, True),
        (5, 2, 0.5, False),
        # What makes the loop work itself may be a miner that sends much.
        (5, 4, 3, False),
        (0, 0, 0, False),
    ],
)
def test_overload_is_being_late_without_working(
    seconds: float,
    late: float,
    worked: float,
    is_overload: bool,
) -> None:
    assert bool(load_problem(seconds, late, worked)) is is_overload
