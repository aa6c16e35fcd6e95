"""Runs the benchmark: `python -m benchmarks.million_jobs [--jobs 100000] [--service miner]`.

Starts PostgreSQL, migrates one database per service, fills it with jobs, their events and receipts,
and times every query function and admin list. Prints a table of milliseconds for each, and the plan
of what is over its limit; exits 1 if anything is.
"""

import argparse
import os
import subprocess
import sys

from localnet import testing
from localnet.process_table import ROOT

SERVICES = ("facilitator", "validator", "miner")


def main() -> int:
    """Benchmark the chosen services; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million_jobs")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="jobs in each database")
    parser.add_argument("--service", choices=SERVICES, action="append", help="default: all three")
    options = parser.parse_args()
    with testing.running(("postgres",)) as home:
        env = os.environ | testing.settings_env(home) | {"VALIDATOR_METRICS_TOKEN": "t" * 32}
        statuses = [
            subprocess.run(
                [sys.executable, "-m", f"{__package__}.one_service", name, str(options.jobs)],
                env=env | {"DJANGO_SETTINGS_MODULE": f"{name}.settings"},
                cwd=ROOT,
                check=False,
            ).returncode
            for name in options.service or SERVICES
        ]
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
