"""The process of `benchmarks.batch` that runs batches, with the validator's settings.

Modules of the validator are imported by name: they need its settings, and types are checked with
those of another service.
"""

import logging
import resource
import sys
import time
from collections import Counter
from importlib import import_module
from typing import Any

import django
from bittensor_core import Keypair
from django.core.management import call_command
from django.utils import timezone

OFFERS_SECONDS = 1.0
MEMORY_MIB = 1024


def store_network(miners: int, executors: int, ports: list[int]) -> None:
    """Store miners with addresses and manifests, like reads of the chain and polls do."""
    models: Any = import_module("validator.network.models")
    now = timezone.now()
    hotkeys = [Keypair.create_from_uri(f"//Miner{n}").ss58_address for n in range(miners)]
    models.Neuron.objects.bulk_create(
        models.Neuron(
            hotkey=hotkey,
            coldkey=hotkey,
            uid=uid,
            ip="127.0.0.1",
            port=ports[uid % len(ports)],
            seen_at=now,
        )
        for uid, hotkey in enumerate(hotkeys)
    )
    models.Manifest.objects.bulk_create(
        models.Manifest(
            hotkey=hotkey, executor_class="always_on.test", count=executors, heard_at=now
        )
        for hotkey in hotkeys
    )


def record_offers() -> list[float]:
    """From now on, the CPU time of this process at every offer; busy machines tell no other."""
    attempts: Any = import_module("validator.synthetic.attempts")
    offer, moments = attempts.PreparedContract.offer, list[float]()

    def recorded(contract: Any, started: Any) -> Any:
        moments.append(time.process_time())
        return offer(contract, started)

    attempts.PreparedContract.offer = recorded
    return moments


def run_batch(offers: list[float]) -> bool:
    """Run one batch and print its figures; whether it was within the limits."""
    actions: Any = import_module("validator.synthetic.actions")
    models: Any = import_module("validator.synthetic.models")
    config: Any = import_module("validator.config").config
    # The key of a benchmark is in no file.
    config.__dict__["hotkey"] = Keypair.create_from_uri("//Validator")
    offers.clear()
    began, cpu = time.perf_counter(), time.process_time()
    actions.run_extra(config)
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    batch = models.Batch.objects.first()
    attempts = models.Puzzle.objects.filter(batch=batch)
    outcomes = Counter(attempts.values_list("outcome", flat=True))
    last = max(attempts.values_list("finished_at", flat=True))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"  {len(attempts)} attempts: offers took {batch.offers_took_ms:.0f} ms "
        f"({(offers[-1] - offers[0]) * 1000:.0f} ms CPU), the loop was late by "
        f"{batch.loop_delay_ms:.0f} ms at worst; {took:.1f} s in all, of which "
        f"{(batch.ended_at - last).total_seconds():.1f} s after the last answer; "
        f"CPU {spent:.1f} s, memory {memory:.0f} MiB; {dict(outcomes)}"
    )
    is_right = outcomes.keys() == {"correct"}
    return bool(is_right and batch.offers_took_ms < OFFERS_SECONDS * 1000 and memory < MEMORY_MIB)


def main(miners: int, executors: int, runs: int, *ports: int) -> int:
    """Fill the database and run the batches; the exit status."""
    django.setup()
    logging.disable()
    call_command("migrate", verbosity=0)
    store_network(miners, executors, list(ports))
    offers = record_offers()
    print(f"\nA batch at {miners} miners with {executors} executors each")
    within_limits = [run_batch(offers) for _ in range(runs)]
    return 0 if all(within_limits) else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
