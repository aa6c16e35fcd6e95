"""The page of how miners are scored: its examples are computed by the formulas themselves."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pydantic import BaseModel

from compute_horde.hardware import ExecutorClass
from docs.scoring_text import ALLOWANCE, INTRODUCTION, JOBS, PARAMETERS, SECONDS, TAIL
from docs.tables import table
from validator.scoring.facts import (
    BlockFact,
    CycleFacts,
    ExecutorCount,
    JobOutcome,
    KnownEfficiency,
    MainHotkeys,
    ManifestFact,
    PaidReceipt,
    RegisteredMiner,
    WorkedJob,
)
from validator.scoring.formulas import decimal_text, score_cycle
from validator.scoring.parameters import (
    DEFAULTS,
    BurnParameters,
    FormulaName,
    HordeParameters,
    ScoringParameters,
)

LLM = ExecutorClass.always_on__llm__a6000
SPIN_UP = ExecutorClass.spin_up_4min__gpu_24gb


def page() -> Iterator[str]:
    """The lines of scoring.md."""
    yield INTRODUCTION
    for text, example in (
        (JOBS, _jobs()),
        (SECONDS, _seconds()),
        (ALLOWANCE, _allowance()),
        (TAIL, _tail()),
    ):
        yield text
        yield from example
    yield PARAMETERS
    yield from table("parameter", "value", "what it is", rows=_parameters())


def _statements(facts: CycleFacts, parameters: ScoringParameters) -> Iterator[str]:
    """A table of all line items but those of classes that nobody offers."""
    rows = []
    for miner in score_cycle(facts, parameters).miners:
        share = f"**{decimal_text(miner.share)}**"
        rows.append((f"**{miner.hotkey}**", "", f"u16 {miner.u16}", "", share, ""))
        for item in miner.items:
            if item.reason != "class not offered":
                number = f"{float(item.number):g} {item.unit}"
                amount = decimal_text(item.amount)
                kind = item.executor_class or ""
                rows.append(("", kind, item.reason, number, amount, item.remedy))
    heads = ("miner", "class", "reason", "counted", "share", "what would change it")
    yield from table(*heads, rows=rows)


def _jobs() -> Iterator[str]:
    done, refused = JobOutcome.COMPLETED, JobOutcome.REFUSED
    jobs = (
        *(WorkedJob(f"{number}", "A", LLM, done) for number in range(3)),
        WorkedJob("4", "A", LLM, done, is_organic=True),
        WorkedJob("5", "B", LLM, done),
        WorkedJob("6", "B", LLM, refused),
    )
    facts = CycleFacts(708, _miners("A", "B"), jobs=jobs, **_same_size())
    yield from _statements(facts, DEFAULTS[FormulaName.JOBS])


def _seconds() -> Iterator[str]:
    done = JobOutcome.COMPLETED

    def work(uuid: str, hotkey: str, at: int, seconds: int, *, organic: bool) -> WorkedJob:
        end = Fraction(at)
        return WorkedJob(
            uuid, hotkey, LLM, done, is_organic=organic, at=end, seconds=Fraction(seconds)
        )

    refused = WorkedJob("3", "A", LLM, JobOutcome.REFUSED, at=Fraction(3000), free_executors=2)
    jobs = (
        work("1", "A", 1800, 1800, organic=True),
        work("2", "A", 2700, 900, organic=False),
        refused,
        work("4", "A", 5000, 1800, organic=True),
        work("5", "B", 2000, 2000, organic=True),
    )
    measured = (KnownEfficiency("A", LLM, measured=Fraction("0.95")),)
    facts = CycleFacts(708, _miners("A", "B"), jobs=jobs, efficiencies=measured, **_same_size())
    yield from _statements(facts, DEFAULTS[FormulaName.SECONDS])


def _allowance() -> Iterator[str]:
    stakes = {"us": Fraction(1), "them": Fraction(3)}
    blocks = tuple(BlockFact(number, Fraction(12), stakes) for number in range(700, 740))

    def receipt(uuid: str, hotkey: str, paid_by: range) -> PaidReceipt:
        cost = Fraction(12 * len(paid_by))
        at = Fraction(int(uuid))
        return PaidReceipt(uuid, "us", hotkey, LLM, at, 740, cost, tuple(paid_by))

    facts = CycleFacts(
        708,
        _miners("A", "B"),
        blocks=blocks,
        manifests=tuple(ManifestFact(hotkey, LLM, 0, 4) for hotkey in "AB"),
        receipts=(
            receipt("1", "A", range(700, 710)),
            receipt("2", "A", range(709, 714)),
            receipt("3", "B", range(720, 725)),
        ),
    )
    yield from _statements(facts, DEFAULTS[FormulaName.ALLOWANCE])


def _tail() -> Iterator[str]:
    done = JobOutcome.COMPLETED
    jobs = (
        *(WorkedJob(f"a{number}", "A1", SPIN_UP, done) for number in range(10)),
        *(WorkedJob(f"b{number}", "B", SPIN_UP, done) for number in range(2)),
        WorkedJob("b3", "B", LLM, done),
    )
    miners = (
        RegisteredMiner("A1", 0, "coldkey of A"),
        RegisteredMiner("A2", 1, "coldkey of A"),
        RegisteredMiner("B", 2, "coldkey of B"),
        RegisteredMiner("burner", 3),
    )
    facts = CycleFacts(
        708,
        miners,
        jobs=jobs,
        offered=(ExecutorCount("A1", SPIN_UP, 10), ExecutorCount("B", SPIN_UP, 2)),
        main_hotkeys=(MainHotkeys("coldkey of A", "A1", "A2"),),
    )
    parameters = DEFAULTS[FormulaName.ALLOWANCE].model_copy(
        update={
            "formula": FormulaName.JOBS,
            "horde": HordeParameters(classes=(SPIN_UP,)),
            "burn": BurnParameters(targets=("burner",), rate=Decimal("0.3")),
        }
    )
    yield from _statements(facts, parameters)


def _miners(*hotkeys: str) -> tuple[RegisteredMiner, ...]:
    return tuple(RegisteredMiner(hotkey, uid) for uid, hotkey in enumerate(hotkeys))


def _same_size() -> dict[str, Any]:
    """Executors in the last two peak cycles that earn nobody a dancing bonus."""
    counts = tuple(ExecutorCount(hotkey, LLM, 4) for hotkey in "AB")
    return {"offered": counts, "peak_offered": counts, "previous_peak_offered": counts}


def _parameters() -> Iterator[tuple[str, str, str]]:
    sets = [DEFAULTS[name] for name in FormulaName]
    for name, field in ScoringParameters.model_fields.items():
        group = getattr(sets[0], name)
        if isinstance(group, BaseModel):
            for inner, inner_field in type(group).model_fields.items():
                values = [getattr(getattr(one, name), inner) for one in sets]
                yield f"`{name}.{inner}`", _values(values), inner_field.description or ""
        else:
            values = [getattr(one, name) for one in sets]
            yield f"`{name}`", _values(values), field.description or ""


def _values(values: list[Any]) -> str:
    texts = [_text(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{kind} {number}" for kind, number in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "null" if value is None else str(value)
