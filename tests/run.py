"""Runs every suite against one PostgreSQL and one Valkey, and adds up the results."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localnet import docker_engine, testing

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"


@dataclass(frozen=True, slots=True)
class Suite:
    """Folders that one pytest process can test together: Django has one settings per process."""

    name: str
    paths: tuple[str, ...]
    settings: str | None = None


SUITES = (
    Suite("shape", ("test_shape.py", "test_run.py")),
    Suite("pure", ("compute_horde", "executor", "compute_horde_sdk", "localnet")),
    Suite("chassis", ("chassis",), "tests.chassis.settings"),
    Suite("facilitator", ("facilitator",), "facilitator.settings"),
    Suite("validator", ("validator",), "validator.settings"),
    Suite("miner", ("miner",), "miner.settings"),
    Suite("network", ("network",)),
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
    # One engine for all suites: without one the first network would take its own away again.
    engine = ("docker",) if docker_engine.prepare() else ()
    with testing.running((*testing.SERVERS, *engine)) as home:
        env = os.environ | testing.settings_env(home)
        for suite in SUITES:
            if not names or suite.name in names:
                total += run(suite, env)
    print(f"{total.passed} passed, {total.failed} failed", flush=True)
    return 0 if total.passed and not total.failed else 1


def _lint() -> int:
    """What is not clean counts as one failed test; the tests run all the same."""
    print("=== lint ===", flush=True)
    return int(subprocess.run(["make", "lint"], cwd=ROOT, check=False).returncode != 0)


def run(suite: Suite, env: dict[str, str]) -> Outcome:
    paths = [str(TESTS / path) for path in suite.paths if _has_tests(TESTS / path)]
    if not paths:
        return Outcome()
    print(f"\n=== {suite.name} ===", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", *paths, "--junit-xml", str(report)]
        if suite.settings:
            command += ["--ds", suite.settings]
        code = subprocess.run(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False
        ).returncode
        return outcome(report, code)


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
