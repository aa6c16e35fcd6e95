"""Weights of many cycles on a failing chain: `python -m benchmarks.many_cycles [--cycles 1000]`.

Starts PostgreSQL. In each cycle the validator's periodic task runs at every block of the window
until the weights are read back. Three of ten calls to the chain fail, transactions get lost or are
included late, nodes are behind, and the validator is killed at calls to the chain and at statements
to the database. Exits 1 when a window is missed or has two transactions.
"""

import argparse
import logging
import os
import sys
import time
from typing import Any


def main() -> int:
    """Run the cycles; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_cycles", description=__doc__)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    from localnet import testing

    with testing.running(("postgres", "validator-seed")) as home:
        os.environ.update(testing.settings_env(home))
        os.environ["DJANGO_SETTINGS_MODULE"] = "validator.settings_headless"
        import django

        django.setup()
        logging.disable()
        return _soak(chosen.cycles, chosen.seed)


def _soak(cycles: int, seed: int) -> int:
    from importlib import import_module

    from bittensor_core import Keypair

    from benchmarks.many_cycles.soak import NETUID, Soak

    config: Any = import_module("validator.config").config.model_copy(update={"netuid": NETUID})
    config.__dict__["hotkey"] = Keypair.create_from_uri("//Validator")
    began, cpu = time.perf_counter(), time.process_time()

    def note(number: int) -> None:
        if number % 100 == 0:
            print(f"  {number} cycles after {time.perf_counter() - began:.0f} s", flush=True)

    outcome = Soak(config, seed).run(cycles, note)
    print(
        f"{cycles} cycles, {outcome.kills} kills: {outcome.windows}; windows by their number of "
        f"transactions: {outcome.transactions}; submissions: {outcome.submissions}; CPU "
        f"{time.process_time() - cpu:.0f} s"
    )
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
