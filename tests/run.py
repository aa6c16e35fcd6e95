"""Runs every suite against one PostgreSQL and one Valkey, and adds up the results."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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
    # Files below `paths` that another suite tests.
    without: tuple[str, ...] = ()


# What CI's machine may lack; everything else that is skipped there has failed.
MAY_BE_SKIPPED = {
    "tests.starts.test_images": "the images are built by `make images`, which takes long",
    "tests.executor.probe.test_sandbox.test_a_privileged_container_is_noticed": (
        "an engine inside a container may not start privileged ones"
    ),
}

# Characters of what was wrong with a failed test.
_LONGEST_REASON = 200

# So many run at a time, in this order: what is quick first, then the longest. Twice as many as the
# smallest machine has cores: what tests real processes waits for them, and needs half a core.
AT_ONCE = 4
# Each of these starts networks of its own.
OWN_NETWORKS = (
    "network/test_twenty_cycles.py",
    "network/test_llm.py",
    "network/test_weights.py",
    "network/test_demo.py",
)
SUITES = (
    Suite(
        "shape",
        ("test_shape.py", "test_language.py", "test_run.py", "test_private_interfaces.py"),
    ),
    Suite("network", ("network",), without=OWN_NETWORKS),
    Suite("executor", ("executor",)),
    Suite("pure", ("compute_horde", "compute_horde_sdk", "localnet")),
    Suite("starts", ("starts",)),
    Suite("own-networks", OWN_NETWORKS),
    Suite("validator", ("validator",), "validator.settings"),
    Suite("facilitator", ("facilitator",), "facilitator.settings"),
    Suite("miner", ("miner",), "miner.settings"),
    Suite("django", ("compute_horde/django",), "tests.compute_horde.django.settings"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many tests of a suite passed and were skipped, and a line about each that failed."""

    passed: int = 0
    failures: tuple[str, ...] = ()
    skipped: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.passed + other.passed,
            self.failures + other.failures,
            self.skipped + other.skipped,
        )

    def __str__(self) -> str:
        """The failed tests, then the totals in the last line."""
        failed = ["\nFailed:", *self.failures] if self.failures else []
        counts = f"{self.passed} passed, {len(self.failures)} failed, {self.skipped} skipped"
        return "\n".join([*failed, counts])


def main(names: Sequence[str]) -> int:
    wanted = [suite for suite in SUITES if not names or suite.name in names]
    # One engine for all suites: without one the first network would take its own away again.
    engine = ("docker",) if docker_engine.prepare() else ()
    with testing.running((*testing.SERVERS, *engine)) as home:
        env = os.environ | testing.settings_env(home)
        total = _all(wanted, env, lint=not names)
    print(total, flush=True)
    return 0 if total.passed and not total.failures else 1


def _all(suites: Sequence[Suite], env: dict[str, str], *, lint: bool) -> Outcome:
    """Run the suites, some of them at once, and lint beside them."""
    total = Outcome()
    # A suite's lines come together when it is done: several at once could not be read.
    work = [partial(run, suite, env, together=len(suites) > 1) for suite in suites]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in pool.map(lambda one: one(), [_lint, *work] if lint else work):
            total += outcome
    return total


def _lint() -> Outcome:
    """What is not clean counts as one failed test; the tests run all the same."""
    print("\n=== lint (going on) ===", flush=True)
    done = subprocess.run(
        ["make", "lint"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    print(f"\n=== lint ===\n{done.stdout}", flush=True)
    failed = f"lint: `make lint` ended with exit status {done.returncode}"
    return Outcome(failures=(failed,) if done.returncode else ())


def run(suite: Suite, env: dict[str, str], *, together: bool = False) -> Outcome:
    """Test one suite; its lines as they come, or `together` at its end."""
    paths = [str(TESTS / path) for path in suite.paths if _has_tests(TESTS / path)]
    if not paths:
        return Outcome()
    print(f"\n=== {suite.name}{' (going on)' if together else ''} ===", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", *paths, "--junit-xml", str(report)]
        command += [f"--ignore={TESTS / path}" for path in suite.without]
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
        return outcome(suite.name, report, done.returncode)


def outcome(suite: str, report: Path, code: int) -> Outcome:
    """What the report says; a suite that broke without saying why has failed once.

    In CI a skipped test has failed, unless it is one of `MAY_BE_SKIPPED`.
    """
    if not report.exists():
        return Outcome(failures=(_broken(suite, code),))
    passed = skipped = 0
    failures = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        found = {child.tag: child for child in case}
        failure = found.get("failure", found.get("error"))
        if failure is not None:
            failures.append(_failure(suite, case, failure.get("message", "")))
        elif "skipped" not in found:
            passed += 1
        elif os.environ.get("CI") and not _may_be_skipped(case):
            reason = found["skipped"].get("message", "")
            failures.append(_failure(suite, case, f"skipped in CI: {reason}"))
        else:
            skipped += 1
    if code and not failures:
        failures.append(_broken(suite, code))
    return Outcome(passed, tuple(failures), skipped)


def _failure(suite: str, case: ElementTree.Element, message: str) -> str:
    """One line: the suite, the test as pytest is told it, and what was wrong in a few words."""
    place = case.get("classname", "").replace(".", "/")
    lines = message.split("\n", maxsplit=1)
    return f"{suite}: {place}.py::{case.get('name')}: {lines[0][:_LONGEST_REASON]}"


def _broken(suite: str, code: int) -> str:
    return f"{suite}: no test failed, but pytest ended with exit status {code}"


def _may_be_skipped(case: ElementTree.Element) -> bool:
    name = f"{case.get('classname')}.{case.get('name')}"
    return any(name.startswith(known) for known in MAY_BE_SKIPPED)


def _has_tests(path: Path) -> bool:
    return path.is_file() or any(path.rglob("test_*.py"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
