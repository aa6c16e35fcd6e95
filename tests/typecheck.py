"""Checks the types of the whole tree: mypy once per service, since Django has one settings each."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from localnet import testing
from localnet.network_dir import NetworkDir

ROOT = Path(__file__).resolve().parent.parent
# The packages without settings of their own are checked with the facilitator's.
PACKAGES = {
    "facilitator": (
        "facilitator",
        "compute_horde",
        "compute_horde_sdk",
        "executor",
        "localnet",
        "benchmarks",
    ),
    "miner": ("miner",),
    "validator": ("validator",),
}
# Modules of a benchmark that use one service's models.
QUERIES = "benchmarks.million_jobs.{}_queries"


def main() -> int:
    """The number of services whose packages have errors."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | testing.settings_env(NetworkDir.at(Path(folder)))
        return sum(map(bool, [_check(service, env) for service in PACKAGES]))


def _check(service: str, env: dict[str, str]) -> int:
    command = [sys.executable, "-m", "mypy", "--cache-dir", f".mypy_cache/{service}"]
    for package in PACKAGES[service]:
        command += ["--package", package]
    if "benchmarks" not in PACKAGES[service]:
        command += ["--module", QUERIES.format(service)]
    for other in PACKAGES.keys() - {service}:
        command += ["--exclude", f"{QUERIES.format(other).replace('.', '/')}[.]py$"]
    settings = {"DJANGO_SETTINGS_MODULE": f"{service}.settings"}
    return subprocess.run(command, cwd=ROOT, env=env | settings, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
