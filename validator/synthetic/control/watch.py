"""Watches the validator's own side while a batch runs, in the loop that runs the batch."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic, thread_time
from typing import Self

from compute_horde.steady_clock import steady_now
from validator.synthetic.control.faults import (
    ControlFault,
    FaultKind,
    Probed,
    Target,
    TargetRecord,
    chain_faults,
    of_target,
)
from validator.synthetic.control.probes import Probe, has_default_route, http_client, problem_of
from validator.synthetic.control.uplink import MinerSilence, uplink_faults
from validator.synthetic.loop_delay import LoopDelay

log = logging.getLogger(__name__)

ROUND_SECONDS = 5.0
# A batch waits so long for the first round, which then goes on beside it.
FIRST_SECONDS = 1.0
# A probe that failed is made once more before it counts.
RETRY_SECONDS = 0.5
# Probes tell nothing while this process itself is so late.
OWN_DELAY_SECONDS = 1.0
# The machine is overloaded while its loop is late for half of the time, measured over so many
# seconds at least, although it does nothing itself: what makes it work, such as messages of a
# miner, is no overload.
LOAD_SECONDS = 1.0
LATE_PART = 0.5
BUSY_PART = 0.5

Records = dict[Target, TargetRecord]


def load_problem(seconds: float, late: float, worked: float) -> str:
    """Why the machine was overloaded in so many seconds, or an empty text.

    `late`: how long the event loop was late in all, `worked`: the CPU time of its own thread.
    """
    if seconds <= 0 or late < LATE_PART * seconds or worked > BUSY_PART * seconds:
        return ""
    return f"its loop was late for {late:.1f} of {seconds:.1f} s and had the CPU for {worked:.1f} s"


class ControlWatch:
    """Probes in rounds: before a batch, every `ROUND_SECONDS` while it runs, and at its end.

    `known` is what earlier probes found. Nothing is written to the database.
    """

    def __init__(
        self, probes: Iterable[Probe], known: Mapping[Target, TargetRecord], loop_delay: LoopDelay
    ) -> None:
        self._probes = list({probe.target: probe for probe in probes}.values())
        self.records: Records = {
            probe.target: known.get(probe.target) or TargetRecord() for probe in self._probes
        }
        self.began = steady_now()
        self._route = TargetRecord()
        self._load: list[tuple[datetime, datetime, str]] = []
        self._loop_delay = loop_delay
        self._client = http_client()
        self._rounds: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._measured = (steady_now(), 0.0, thread_time())

    async def __aenter__(self) -> Self:
        self._measured = (steady_now(), self._loop_delay.late_seconds, thread_time())
        self._rounds = asyncio.create_task(self._run())
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                await self._first.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop, and close the connections of probes."""
        await self._stop()
        await self._client.aclose()

    async def finish(self) -> None:
        """End with a last round of what has ever worked; faults that are over get their end."""
        await self._stop()
        probes = [one for one in self._probes if self.records[one.target].worked_at]
        await self.round(probes)

    async def round(self, probes: Sequence[Probe] | None = None) -> None:
        """Probe everything, or these, all at the same time."""
        self._measure_load()
        has_route, now = has_default_route(), steady_now()
        if has_route is not None:
            problem = "" if has_route else "this machine has none"
            self._route.add(Probed(now, now, problem))
        chosen = self._probes if probes is None else probes
        results = await asyncio.gather(
            *(self._probe(one) for one in chosen), return_exceptions=True
        )
        for probe, result in zip(chosen, results, strict=True):
            if isinstance(result, Exception):
                # What cannot be probed must not end a batch.
                log.warning(
                    "control probe failed by an error",
                    extra={"target": probe.target.name, "problem": repr(result)[:200]},
                )

    def faults(self, miners: Collection[MinerSilence]) -> list[ControlFault]:
        """What failed on the validator's side, by the probes and by the miners' silence."""
        now = steady_now()
        found = [
            fault
            for target, one in self.records.items()
            if target.kind is not FaultKind.CHAIN
            for fault in of_target(target, one, now)
        ]
        found += chain_faults(self.records, now)
        found += uplink_faults(self.records, miners, self._route.failures(now), now)
        found += [
            ControlFault(FaultKind.LOAD, "this machine", since, until, problem)
            for since, until, problem in self._load
        ]
        return found

    async def _run(self) -> None:
        while True:
            await self.round()
            self._first.set()
            await asyncio.sleep(ROUND_SECONDS)

    async def _stop(self) -> None:
        if self._rounds:
            self._rounds.cancel()
            with suppress(asyncio.CancelledError):
                await self._rounds
            self._rounds = None

    async def _probe(self, probe: Probe) -> None:
        began = steady_now()
        problem = await problem_of(probe, self._client)
        if problem:
            await asyncio.sleep(RETRY_SECONDS)
            problem = await problem_of(probe, self._client)
        ended = steady_now()
        took = (ended - began).total_seconds()
        late = self._loop_delay.worst_until_now(monotonic() - took)
        is_unknown = bool(problem) and late >= OWN_DELAY_SECONDS
        self.records[probe.target].add(Probed(began, ended, problem, is_unknown))

    def _measure_load(self) -> None:
        now = (steady_now(), self._loop_delay.late_seconds, thread_time())
        before = self._measured
        seconds = (now[0] - before[0]).total_seconds()
        if seconds < LOAD_SECONDS:
            return
        self._measured = now
        if problem := load_problem(seconds, now[1] - before[1], now[2] - before[2]):
            self._load.append((before[0], now[0], problem))
