"""What each long-lived process of the network uses while nothing happens, and at its start.

Periodic tasks run more often in a local network than in production, so that the CPU time of the
worker and of beat is an upper bound.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import processes
from localnet.network_dir import NetworkDir

TARGET_MIB = 60
START_SECONDS = 30.0


def main(home: NetworkDir, seconds: float) -> None:
    """Wait until what the start began has ended, then measure for `seconds`."""
    started = processes.costs(home)
    time.sleep(START_SECONDS)
    before = processes.costs(home)
    time.sleep(seconds)
    after = processes.costs(home)
    print(f"\nIdle (PSS counts shared pages once; target {TARGET_MIB} MiB for each process)")
    print(f"  {'supervisor':18} {processes.supervisor_mib(home):6.1f} MiB")
    for name, now in after.items():
        share = (now.cpu_seconds - before[name].cpu_seconds) / seconds
        over = "   over the target" if now.own_mib > TARGET_MIB else ""
        print(
            f"  {name:18} {now.own_mib:6.1f} MiB   with children {now.memory_mib:6.1f} MiB"
            f"   {share:6.2%} of a CPU   start {started[name].cpu_seconds:4.1f} s CPU{over}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as path,
        processes.network(Path(path)) as network,
    ):
        main(network, options.seconds)
