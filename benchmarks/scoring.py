"""Measures time and memory of scoring one cycle: 256 miners, 722 blocks, 100 000 receipts.

python -m benchmarks.scoring [FORMULA …]
"""

import json
import random
import resource
import sys
import time
from collections.abc import Callable
from fractions import Fraction

from compute_horde.hardware import ExecutorClass
from validator.scoring.facts import (
    BlockFact,
    CycleFacts,
    ExecutorCount,
    JobOutcome,
    MainHotkeys,
    ManifestFact,
    PaidReceipt,
    RegisteredMiner,
    WorkedJob,
)
from validator.scoring.formulas import score_cycle
from validator.scoring.parameters import DEFAULTS, FormulaName

MINERS, BLOCKS, RECEIPTS, VALIDATORS = 256, 722, 100_000, 24
BLOCKS_PER_RECEIPT = 10
MUST_SECONDS = 5.0
MUST_MEGABYTES = 500
CLASSES = list(ExecutorClass)


def main(names: list[str]) -> int:
    """Print a line of JSON for each formula; the exit code tells whether all kept the limits."""
    slow = 0
    for name in names or list(FormulaName):
        slow += measured(FormulaName(name))
    return min(slow, 1)


def measured(formula: FormulaName) -> bool:
    """Score a cycle; whether it took too much (CPU time: other processes do not count)."""
    facts = FACTS[formula]()
    began, began_cpu = time.perf_counter(), time.process_time()
    scored = score_cycle(facts, DEFAULTS[formula])
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "formula": formula,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_megabytes_of_the_process": round(megabytes),
        "items": sum(len(miner.items) for miner in scored.miners),
        "bytes": len(scored.canonical_json()),
        "weights": sum(1 for miner in scored.miners if miner.u16),
    }
    print(json.dumps(figures))
    return cpu > MUST_SECONDS or megabytes > MUST_MEGABYTES


def worked_cycle() -> CycleFacts:
    """A cycle in which each receipt is a job of the validator's own."""
    rng = random.Random(1)
    outcomes = [*[JobOutcome.COMPLETED] * 8, JobOutcome.REFUSED, JobOutcome.EXCUSED]
    jobs = tuple(
        WorkedJob(
            job_uuid=f"{number:036}",
            hotkey=_hotkey(rng.randrange(MINERS)),
            executor_class=rng.choice(CLASSES),
            outcome=rng.choice(outcomes),
            is_organic=rng.random() < 0.5,
            at=Fraction(rng.randrange(BLOCKS * 12 * 10**6), 10**6),
            seconds=Fraction(rng.randrange(3600 * 10**6), 10**6),
            free_executors=rng.randrange(4),
        )
        for number in range(RECEIPTS)
    )
    return CycleFacts(0, _miners(), jobs=jobs, offered=_offered(), main_hotkeys=_main_hotkeys())


def paid_cycle() -> CycleFacts:
    """A cycle of receipts that offer blocks of the last two cycles; stakes change in each block."""
    rng = random.Random(1)
    stakes = {_hotkey(number): Fraction(10**6 + number * 997, 1000) for number in range(VALIDATORS)}
    blocks = tuple(
        BlockFact(
            number,
            Fraction(1199 + rng.randrange(3), 100),
            {key: stake + Fraction(rng.randrange(10**9), 10**9) for key, stake in stakes.items()},
        )
        for number in range(2 * BLOCKS)
    )
    receipts = tuple(_receipt(number, rng) for number in range(RECEIPTS))
    manifests = tuple(
        ManifestFact(_hotkey(miner), kind, block, rng.randrange(1, 9))
        for miner in range(MINERS)
        for kind in CLASSES
        for block in range(0, 2 * BLOCKS, 120)
    )
    return CycleFacts(
        BLOCKS,
        _miners(),
        offered=_offered(),
        main_hotkeys=_main_hotkeys(),
        blocks=blocks,
        manifests=manifests,
        receipts=receipts,
    )


def _receipt(number: int, rng: random.Random) -> PaidReceipt:
    started = rng.randrange(BLOCKS, 2 * BLOCKS)
    return PaidReceipt(
        job_uuid=f"{number:036}",
        validator=_hotkey(rng.randrange(VALIDATORS)),
        hotkey=_hotkey(rng.randrange(MINERS)),
        executor_class=rng.choice(CLASSES),
        at=Fraction(started * 12 * 10**6 + rng.randrange(10**6), 10**6),
        started_block=started,
        cost=Fraction(rng.randrange(1, 40)),
        blocks=tuple(sorted(rng.sample(range(started - 700, started), BLOCKS_PER_RECEIPT))),
    )


def _hotkey(number: int) -> str:
    return f"5{number:047}"


def _miners() -> tuple[RegisteredMiner, ...]:
    return tuple(
        RegisteredMiner(_hotkey(number), number, f"coldkey-{number // 4}")
        for number in range(MINERS)
    )


def _main_hotkeys() -> tuple[MainHotkeys, ...]:
    return tuple(
        MainHotkeys(f"coldkey-{number}", _hotkey(number * 4 + number % 4), _hotkey(number * 4))
        for number in range(MINERS // 4)
    )


def _offered() -> tuple[ExecutorCount, ...]:
    return tuple(
        ExecutorCount(_hotkey(number), kind, 1 + number % 8)
        for number in range(MINERS)
        for kind in CLASSES
    )


FACTS: dict[FormulaName, Callable[[], CycleFacts]] = {
    FormulaName.JOBS: worked_cycle,
    FormulaName.SECONDS: worked_cycle,
    FormulaName.ALLOWANCE: paid_cycle,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
