"""Facts of small cycles, as scoring reads them."""

from decimal import Decimal
from fractions import Fraction
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st

from compute_horde.hardware import ExecutorClass
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
from validator.scoring.parameters import (
    DEFAULTS,
    Dancing,
    DancingParameters,
    FormulaName,
    LimitParameters,
    ScoringParameters,
)

SPIN_UP = ExecutorClass.spin_up_4min__gpu_24gb
LLM = ExecutorClass.always_on__llm__a6000
TEST = ExecutorClass.always_on__test
NO_DANCE = DancingParameters(kind=Dancing.NONE, main_hotkey_share=None)
_numbers = count()


def registered(*hotkeys, coldkey=""):
    return tuple(RegisteredMiner(hotkey, uid, coldkey) for uid, hotkey in enumerate(hotkeys))


def job(hotkey, kind=LLM, outcome=JobOutcome.COMPLETED, **more):
    return WorkedJob(f"job-{next(_numbers):06}", hotkey, kind, outcome, **more)


def with_parameters(formula, **changes):
    """The newest parameters of a formula with others in place of some."""
    return DEFAULTS[formula].model_copy(update={"dancing": NO_DANCE, **changes})


def one_class(formula=FormulaName.JOBS, kind=LLM, **changes):
    return with_parameters(formula, class_weights={kind: Decimal(1)}, **changes)


def executor_counts(**counts):
    return tuple(ExecutorCount(hotkey, LLM, number) for hotkey, number in counts.items())


# Whole cycles take long to make up.
few_examples = settings(max_examples=30, deadline=None)

HOTKEYS = "abcdef"
hotkeys = st.sampled_from(HOTKEYS)
classes = st.sampled_from([SPIN_UP, LLM, TEST])
jobs = st.builds(
    WorkedJob,
    st.uuids().map(str),
    hotkeys,
    classes,
    st.sampled_from(JobOutcome),
    is_organic=st.booleans(),
    at=st.integers(0, 100).map(Fraction),
    seconds=st.integers(0, 10**10).map(lambda us: Fraction(us, 10**6)),
    free_executors=st.integers(0, 3),
)
counts = st.lists(st.builds(ExecutorCount, hotkeys, classes, st.integers(0, 40)), max_size=8).map(
    tuple
)
receipts = st.builds(
    PaidReceipt,
    st.uuids().map(str),
    st.sampled_from(["us", "them", "nobody"]),
    hotkeys,
    classes,
    at=st.integers(0, 100).map(Fraction),
    started_block=st.integers(0, 12),
    cost=st.integers(0, 30).map(Fraction),
    blocks=st.lists(st.integers(0, 12), max_size=8).map(tuple),
)


@st.composite
def cycle_facts(draw):
    coldkeys = [draw(st.sampled_from(["", "one", "two"])) for _ in HOTKEYS]
    places = draw(st.lists(st.tuples(hotkeys, classes), max_size=6, unique=True))
    stakes = {"us": Fraction(draw(st.integers(1, 9))), "them": Fraction(5)}
    named = st.sampled_from([None, *HOTKEYS, "elsewhere"])
    return CycleFacts(
        cycle_start=draw(st.integers(0, 10**4)),
        miners=tuple(RegisteredMiner(h, uid, coldkeys[uid]) for uid, h in enumerate(HOTKEYS)),
        is_peak=draw(st.booleans()),
        jobs=tuple(draw(st.lists(jobs, max_size=25))),
        offered=draw(counts),
        peak_offered=draw(counts),
        previous_peak_offered=draw(counts),
        efficiencies=tuple(
            KnownEfficiency(*place, Fraction(draw(st.integers(0, 20)), 10), Fraction(9, 10))
            for place in places
        ),
        main_hotkeys=tuple(MainHotkeys(key, draw(named), draw(named)) for key in ("one", "two")),
        blocks=tuple(BlockFact(number, Fraction(12), stakes) for number in range(12)),
        manifests=tuple(ManifestFact(*place, 0, draw(st.integers(0, 4))) for place in places),
        receipts=tuple(draw(st.lists(receipts, max_size=15))),
    )


ratios = st.sampled_from([Decimal(0), Decimal("0.1"), Decimal("0.3"), Decimal(1)])


@st.composite
def parameter_sets(draw):
    formula = draw(st.sampled_from(FormulaName))
    base = DEFAULTS[formula]
    burn = {"targets": ("b", "x", "c"), "rate": draw(ratios), "partition": draw(ratios)}
    dancing = {
        "kind": draw(st.sampled_from(Dancing)),
        "bonus": draw(ratios),
        "main_hotkey_share": draw(st.one_of(st.none(), ratios)),
    }
    horde = {"classes": draw(st.sampled_from([(), (SPIN_UP,), (SPIN_UP, LLM)]))}
    return ScoringParameters.model_validate(
        {
            **base.model_dump(),
            "burn": burn,
            "dancing": dancing,
            "horde": horde,
            "limits": LimitParameters(
                min_allowed_weights=draw(st.integers(0, 8)),
                max_weight=draw(st.sampled_from([65535, 20000, 6553])),
            ),
        }
    )
