"""Runs every suite against one PostgreSQL and one Valkey, and adds up the results."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
    is_quick: bool = False


# What CI's machine may lack; everything else that is skipped there has failed.
MAY_BE_SKIPPED = {
    "tests.starts.test_images": "the images are built by `make images`, which takes long",
    "tests.executor.probe.test_sandbox.test_a_privileged_container_is_noticed": (
        "an engine inside a container may not start privileged ones"
    ),
}

# Two run at a time, in this order: the longest begin first.
AT_ONCE = 2
SUITES = (
    Suite(
        "shape",
        ("test_shape.py", "test_language.py", "test_run.py", "test_private_interfaces.py"),
        is_quick=True,
    ),
    Suite("network", ("network",)),
    Suite("pure", ("compute_horde", "executor", "compute_horde_sdk", "localnet")),
    Suite("starts", ("starts",)),
    Suite("facilitator", ("facilitator",), "facilitator.settings"),
    Suite("validator", ("validator",), "validator.settings"),
    Suite("miner", ("miner",), "miner.settings"),
    Suite("django", ("compute_horde/django",), "tests.compute_horde.django.settings"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many tests of a suite passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )


def main(names: Sequence[str]) -> int:
    total = Outcome(failed=_lint()) if not names else Outcome()
    wanted = [suite for suite in SUITES if not names or suite.name in names]
    # One engine for all suites: without one the first network would take its own away again.
    engine = ("docker",) if docker_engine.prepare() else ()
    with testing.running((*testing.SERVERS, *engine)) as home:
        env = os.environ | testing.settings_env(home)
        total += _all(wanted, env)
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped", flush=True)
    return 0 if total.passed and not total.failed else 1


def _all(suites: Sequence[Suite], env: dict[str, str]) -> Outcome:
    """Run what is quick first, then the others, some of them at once."""
    total = Outcome()
    for suite in suites:
        if suite.is_quick:
            total += run(suite, env)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # A suite's lines come together when it is done: two at once could not be read.
        others = [suite for suite in suites if not suite.is_quick]
        for outcome in pool.map(lambda suite: run(suite, env, together=len(others) > 1), others):
            total += outcome
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
    """What the report says; a suite that broke without saying why has failed once.

    In CI a skipped test has failed, unless it is one of `MAY_BE_SKIPPED`.
    """
    if not report.exists():
        return Outcome(failed=1)
    passed = failed = skipped = 0
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed += 1
        elif "skipped" not in kinds:
            passed += 1
        elif os.environ.get("CI") and not _may_be_skipped(case):
            print(f"skipped in CI: {case.get('classname')}.{case.get('name')}", flush=True)
            failed += 1
        else:
            skipped += 1
    return Outcome(passed, failed or int(code != 0), skipped)


def _may_be_skipped(case: ElementTree.Element) -> bool:
    name = f"{case.get('classname')}.{case.get('name')}"
    return any(name.startswith(known) for known in MAY_BE_SKIPPED)


def _has_tests(path: Path) -> bool:
    return path.is_file() or any(path.rglob("test_*.py"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
