"""The facts of one cycle that scoring reads; everything that may change a score is here."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from compute_horde.hardware import ExecutorClass
from validator.scoring.exact import NotNegative, Number, Part

Hotkey = Annotated[str, Field(min_length=1, max_length=64)]
# More executors of a class than any miner has.
MAX_COUNT = 10**6
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Block = Annotated[int, Field(ge=-(10**12), le=10**12)]
Place = tuple[str, ExecutorClass]


class JobOutcome(StrEnum):
    """How a job that was offered to a miner ended, as this validator judged it.

    `EXCUSED` by the miner's work for others; `SPARED` by a fault on the validator's side, so that
    it is worth what a completed job is.
    """

    COMPLETED = "completed"
    EXCUSED = "excused"
    SPARED = "spared"
    REFUSED = "refused"
    FAILED = "failed"
    WRONG = "wrong"
    LATE = "late"
    CHEATED = "cheated"


@dataclass(frozen=True, slots=True)
class RegisteredMiner:
    """A neuron of the subnet; `coldkey` is empty when not known."""

    hotkey: Hotkey
    uid: Annotated[int, Field(ge=0, le=65535)]
    coldkey: Annotated[str, Field(max_length=64)] = ""


@dataclass(frozen=True, slots=True)
class WorkedJob:
    """A job offered to a miner; `at` is the unix time at which it ended.

    `seconds`: how long an executor worked. `free_executors`: how many the miner had free when it
    refused. `is_trusted`: it ran on the validator's own miner, which earns nothing. `fault`: what
    failed on the validator's side, of a job that is spared; its `seconds` are those that it would
    have taken.
    """

    job_uuid: Annotated[str, Field(max_length=64)]
    hotkey: Hotkey
    executor_class: ExecutorClass
    outcome: JobOutcome
    is_organic: bool = False
    at: Number = Fraction(0)
    seconds: NotNegative = Fraction(0)
    free_executors: Count = 0
    is_trusted: bool = False
    fault: Annotated[str, Field(max_length=100)] = ""


@dataclass(frozen=True, slots=True)
class ExecutorCount:
    """How many executors of a class a miner had online."""

    hotkey: Hotkey
    executor_class: ExecutorClass
    count: Count


@dataclass(frozen=True, slots=True)
class KnownEfficiency:
    """What this validator knows of a miner's executors of a class before the cycle.

    `measured`: speed by benchmarks, 1 is what the class promises. `carried`: what refusals of
    earlier cycles left of the factor, between 0 and 1.
    """

    hotkey: Hotkey
    executor_class: ExecutorClass
    measured: Annotated[NotNegative, Field(le=1000)] = Fraction(1)
    carried: Part = Fraction(1)


@dataclass(frozen=True, slots=True)
class MainHotkeys:
    """The main hotkey that the miners of a coldkey named, in this cycle and the one before."""

    coldkey: Annotated[str, Field(min_length=1, max_length=64)]
    now: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class BlockFact:
    """A block: its length in seconds and the stake of each permitted validator."""

    number: Block
    length: Annotated[NotNegative, Field(le=10**6)]
    stakes: dict[str, NotNegative]


@dataclass(frozen=True, slots=True)
class ManifestFact:
    """From `block` on, the miner offered `count` executors of the class (after its cap)."""

    hotkey: Hotkey
    executor_class: ExecutorClass
    block: Block
    count: Count


@dataclass(frozen=True, slots=True)
class PaidReceipt:
    """The finished receipt of a user's job: it costs `cost` seconds and offers `blocks`.

    `started_block`: the block at the time of the started receipt. `at`: unix time of the receipt.
    One that `is_earlier` is of the time before the cycle: it may have used up blocks, and earns
    nothing again.
    """

    job_uuid: Annotated[str, Field(max_length=64)]
    validator: Hotkey
    hotkey: Hotkey
    executor_class: ExecutorClass
    at: Number
    started_block: Block
    cost: NotNegative
    blocks: tuple[Block, ...]
    is_earlier: bool = False


@dataclass(frozen=True, slots=True)
class CycleFacts:
    """Everything known about one cycle. `offered` is what was online in it."""

    cycle_start: Block
    miners: tuple[RegisteredMiner, ...]
    is_peak: bool = True
    jobs: tuple[WorkedJob, ...] = ()
    offered: tuple[ExecutorCount, ...] = ()
    peak_offered: tuple[ExecutorCount, ...] = ()
    previous_peak_offered: tuple[ExecutorCount, ...] = ()
    efficiencies: tuple[KnownEfficiency, ...] = ()
    main_hotkeys: tuple[MainHotkeys, ...] = ()
    blocks: tuple[BlockFact, ...] = ()
    manifests: tuple[ManifestFact, ...] = ()
    receipts: tuple[PaidReceipt, ...] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` where two facts contradict each other."""
        _refuse_twice("hotkey", (one.hotkey for one in self.miners))
        _refuse_twice("uid", (str(one.uid) for one in self.miners))
        _refuse_twice("main hotkey of coldkey", (one.coldkey for one in self.main_hotkeys))
        _refuse_twice("block", (str(one.number) for one in self.blocks))
        places = ((one.hotkey, one.executor_class) for one in self.efficiencies)
        _refuse_twice("efficiency of", (" ".join(place) for place in places))


def instant(at: Fraction) -> int:
    """A time in whole picoseconds: the order of events, faster to compare than fractions."""
    return at.numerator * 10**12 // at.denominator


def by_miner(counts: Iterable[ExecutorCount]) -> dict[str, dict[ExecutorClass, int]]:
    """The executors of each miner by class."""
    found: dict[str, dict[ExecutorClass, int]] = defaultdict(dict)
    for one in counts:
        found[one.hotkey][one.executor_class] = one.count
    return found


def _refuse_twice(what: str, keys: Iterable[str]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"{what} {key} is there twice")
        seen.add(key)
