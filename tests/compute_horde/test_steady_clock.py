"""The steady clock, and that no other is used for pauses."""

import ast
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compute_horde import steady_clock
from compute_horde.steady_clock import steady_now

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "compute_horde",
    "compute_horde_sdk",
    "executor",
    "facilitator",
    "localnet",
    "miner",
    "validator",
)
WALL = {
    "time",
    "time.time",
    "datetime.now",
    "datetime.utcnow",
    "datetime.datetime.now",
    "timezone.now",
    "dt.datetime.now",
}
# The argument of each call that is its duration.
PAUSES = {
    "sleep": 0,
    "timeout": 0,
    "timeout_at": 0,
    "call_later": 0,
    "call_at": 0,
    "wait": 0,
    "join": 0,
    "wait_for": 1,
}


def test_it_shows_the_time_of_the_day_and_goes_on_when_the_wall_clock_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert abs(steady_now() - datetime.now(UTC)) < timedelta(seconds=5)
    before = steady_now()
    monkeypatch.setattr(steady_clock, "monotonic", lambda: time.monotonic() + 60)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert timedelta(seconds=59) < steady_now() - before < timedelta(seconds=90)


def functions(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def reads_wall_clock(node: ast.AST, tainted: set[str]) -> bool:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and ast.unparse(inner.func) in WALL:
            return True
        if isinstance(inner, ast.Name) and inner.id in tainted:
            return True
    return False


def tainted_names(function: ast.AST) -> set[str]:
    """Names that hold a time of the wall clock, or something computed from it."""
    names: set[str] = set()
    for _ in range(3):
        for node in ast.walk(function):
            match node:
                case ast.Assign(targets=targets, value=value) if reads_wall_clock(value, names):
                    names |= {one.id for one in targets if isinstance(one, ast.Name)}
                case ast.NamedExpr(target=ast.Name(id=name), value=value) if reads_wall_clock(
                    value, names
                ):
                    names.add(name)
    return names


def seconds_of(call: ast.Call) -> list[ast.expr]:
    """The argument that is the duration of this call, if it waits."""
    place = PAUSES.get(ast.unparse(call.func).rpartition(".")[2])
    if place is None:
        return []
    named = [one.value for one in call.keywords if one.arg in ("timeout", "delay")]
    return [*call.args[place : place + 1], *named]


def pauses_by_wall_clock(source: str) -> list[int]:
    """The lines on which something waits or loops by the wall clock."""
    found = []
    for function in functions(ast.parse(source)):
        tainted = tainted_names(function)
        for node in ast.walk(function):
            waits = isinstance(node, ast.Call) and any(
                reads_wall_clock(one, tainted) for one in seconds_of(node)
            )
            if waits or (
                isinstance(node, ast.While)
                and any(
                    isinstance(one, ast.Compare) and reads_wall_clock(one, tainted)
                    for one in ast.walk(node.test)
                )
            ):
                found.append(node.lineno)
    return found


def sources() -> list[Path]:
    return [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_waits_by_the_wall_clock(path: Path) -> None:
    assert not pauses_by_wall_clock(path.read_text())


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    end = time.time() + 5\n    while time.time() < end:\n        pass",
        "def f():\n    end = time.time() + 5\n    time.sleep(end - time.time())",
        "async def f(at):\n    async with asyncio.timeout((at - timezone.now()).total_seconds()):\n"
        "        pass",
        "async def f(at):\n    x = at - datetime.now(UTC)\n    await asyncio.sleep(x.seconds)",
        "def f(loop, at):\n    loop.call_later(at - time.time(), print)",
    ],
)
def test_pauses_by_the_wall_clock_are_recognised(source: str) -> None:
    assert pauses_by_wall_clock(source)
