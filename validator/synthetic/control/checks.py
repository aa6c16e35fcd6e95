"""Watches the validator's own side for a batch or by schedule, and excuses what it explains."""

import asyncio
from collections.abc import Sequence

from compute_horde.django.database import in_database
from validator.config import Config
from validator.network.actions import ServingMiner
from validator.synthetic.attempts import Attempt
from validator.synthetic.control import excusing, store, targets
from validator.synthetic.control.faults import ControlFault
from validator.synthetic.control.watch import ControlWatch
from validator.synthetic.loop_delay import LoopDelay


async def opened(
    config: Config, attempts: Sequence[Attempt], loop_delay: LoopDelay
) -> ControlWatch:
    """A watch over all that a batch with these attempts depends on; not begun yet."""
    probes = await asyncio.to_thread(targets.of_settings, config)
    probes += targets.of_jobs(attempt.prepared for attempt in attempts)
    known = await in_database(store.known, [probe.target for probe in probes])
    return ControlWatch(probes, known, loop_delay)


async def excuse_by_faults(
    attempts: Sequence[Attempt], watch: ControlWatch, miners: Sequence[ServingMiner]
) -> list[ControlFault]:
    """Excuse what the faults explain that were found; returns the faults.

    Where no miner answered at all there is nothing to compare, and the batch counts for nobody.
    """
    owners = await in_database(store.reached_miners, miners)
    reached = excusing.reached(attempts, owners, watch.began, watch.began - excusing.REACHED_FOR)
    faults = watch.faults(reached)
    if any(attempt.was_answered for attempt in attempts):
        excusing.excuse(attempts, faults, owners, watch.began)
    return faults


def probe_once(config: Config) -> None:
    """Probe what the settings depend on, and store the results."""
    asyncio.run(_probe_once(config))


async def _probe_once(config: Config) -> None:
    probes = await asyncio.to_thread(targets.of_settings, config)
    known = await in_database(store.known, [probe.target for probe in probes])
    watch = ControlWatch(probes, known, LoopDelay())
    try:
        await watch.round()
    finally:
        await watch.close()
    await in_database(store.store_targets, watch.records)
