"""Runs every suite against one PostgreSQL and one Valkey, and adds up the results."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from localnet import docker_engine, testing

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"


class Lane(Enum):
    """When a suite runs: before all others, in turn, or beside those."""

    QUICK = auto()
    MAIN = auto()
    BESIDE = auto()


@dataclass(frozen=True, slots=True)
class Suite:
    """Folders that one pytest process can test together: Django has one settings per process."""

    name: str
    paths: tuple[str, ...]
    settings: str | None = None
    lane: Lane = Lane.MAIN


SUITES = (
    Suite("shape", ("test_shape.py", "test_run.py"), lane=Lane.QUICK),
    Suite("pure", ("compute_horde", "executor", "compute_horde_sdk", "localnet")),
    Suite("chassis", ("chassis",), "tests.chassis.settings"),
    Suite("facilitator", ("facilitator",), "facilitator.settings"),
    Suite("validator", ("validator",), "validator.settings"),
    Suite("miner", ("miner",), "miner.settings"),
    Suite("network", ("network",), lane=Lane.BESIDE),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many tests of a suite passed, and how many did not."""

    passed: int = 0
    failed: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(self.passed + other.passed, self.failed + other.failed)


def main(names: Sequence[str]) -> int:
    total = Outcome(failed=_lint()) if not names else Outcome()
    wanted = [suite for suite in SUITES if not names or suite.name in names]
    # One engine for all suites: without one the first network would take its own away again.
    engine = ("docker",) if docker_engine.prepare() else ()
    with testing.running((*testing.SERVERS, *engine)) as home:
        env = os.environ | testing.settings_env(home)
        total += _in_lanes(wanted, env) if len(wanted) > 1 else _in_turn(wanted, env)
    print(f"{total.passed} passed, {total.failed} failed", flush=True)
    return 0 if total.passed and not total.failed else 1


def _in_lanes(suites: Sequence[Suite], env: dict[str, str]) -> Outcome:
    """What is quick first; then, since networks mostly wait, theirs beside all others."""
    quick = [suite for suite in suites if suite.lane is Lane.QUICK]
    total = _in_turn(quick, env)
    lanes = [[suite for suite in suites if suite.lane is lane] for lane in (Lane.MAIN, Lane.BESIDE)]
    with ThreadPoolExecutor(len(lanes)) as pool:
        # A suite's lines come together when it is done: two at once could not be read.
        for outcome in pool.map(lambda lane: _in_turn(lane, env, together=True), lanes):
            total += outcome
    return total


def _in_turn(suites: Sequence[Suite], env: dict[str, str], *, together: bool = False) -> Outcome:
    total = Outcome()
    for suite in suites:
        total += run(suite, env, together=together)
    return total


def _lint() -> int:
    """What is not clean counts as one failed test; the tests run all the same."""
    print("=== lint ===", flush=True)
    return int(subprocess.run(["make", "lint"], cwd=ROOT, check=False).returncode != 0)


def run(suite: Suite, env: dict[str, str], *, together: bool = False) -> Outcome:
    """Test one suite; its lines as they come, or `together` at its end."""
    paths = [str(TESTS / path) for path in suite.paths if _has_tests(TESTS / path)]
    if not paths:
        return Outcome()
    print(f"\n=== {suite.name}{' (going on)' if together else ''} ===", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", *paths, "--junit-xml", str(report)]
        if suite.settings:
            command += ["--ds", suite.settings]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if together else None,
            stderr=subprocess.STDOUT if together else None,
            text=True,
            errors="replace",
            check=False,
        )
        if together:
            print(f"\n=== {suite.name} ===\n{done.stdout}", flush=True)
        return outcome(report, done.returncode)


def outcome(report: Path, code: int) -> Outcome:
    """What the report says; a suite that broke without saying why has failed once."""
    if not report.exists():
        return Outcome(failed=1)
    passed = failed = 0
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed += 1
        elif "skipped" not in kinds:
            passed += 1
    return Outcome(passed, failed or int(code != 0))


def _has_tests(path: Path) -> bool:
    return path.is_file() or any(path.rglob("test_*.py"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
