"""The parameters of a scoring formula: one value that a cycle can store with its scores."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from compute_horde import signing
from compute_horde.hardware import ExecutorClass


class FormulaName(StrEnum):
    """What is paid: jobs, seconds of work, or block allowance spent."""

    JOBS = "jobs"
    SECONDS = "seconds"
    ALLOWANCE = "allowance"


class Dancing(StrEnum):
    """What earns the dancing bonus: a change of size between peak cycles, or of main hotkey."""

    NONE = "none"
    SIZE = "size"
    MAIN_HOTKEY = "main_hotkey"


def _plain(value: Decimal) -> Decimal:
    """The number without trailing zeros: equal parameters have equal bytes."""
    return Decimal(format(value.normalize(), "f"))


Value = Annotated[Decimal, Field(ge=0, le=10**6, decimal_places=12), AfterValidator(_plain)]
Ratio = Annotated[Decimal, Field(ge=0, le=1, decimal_places=12), AfterValidator(_plain)]
Signed = Annotated[Decimal, Field(ge=-3, le=3, decimal_places=12), AfterValidator(_plain)]
Count = Annotated[int, Field(ge=0, le=10**6)]
ByClass = dict[ExecutorClass, Value]

CLASS_WEIGHTS: ByClass = {
    ExecutorClass.spin_up_4min__gpu_24gb: Decimal(98),
    ExecutorClass.always_on__llm__a6000: Decimal(1),
    ExecutorClass.always_on__cpu__8c__16gb: Decimal(1),
    ExecutorClass.always_on__gpu_24gb: Decimal(1),
    ExecutorClass.always_on__test: Decimal(0),
}


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class HordeParameters(_Group):
    """The horde score: applies to `classes` only, elsewhere points are simply added."""

    classes: tuple[ExecutorClass, ...] = Field((), description="in which it applies")
    alpha: Signed = Field(Decimal(0), description="weight of the average score; 0: none")
    beta: Signed = Field(Decimal(0), description="10 to its power is the steepness of the sigmoid")
    delta: Signed = Field(Decimal(1), description="1/n at which the sigmoid is a half")


class JobParameters(_Group):
    """Points of the formula `jobs`."""

    synthetic_points: Value = Field(Decimal(1), description="for a completed synthetic job")
    organic_points: Value = Field(Decimal(1), description="for a completed user's job")
    excused_points: Value = Field(Decimal(1), description="for a job declined with an excuse")
    organic_limit: Count | None = Field(
        None, description="users' jobs that count, of a miner and class in a cycle; all if null"
    )


class SecondsParameters(_Group):
    """Points of the formula `seconds`."""

    class_values: ByClass = Field(
        {kind: Decimal(1) for kind in ExecutorClass},
        description="points for a second of work in each class",
    )
    refusal_step: Ratio = Field(
        Decimal("0.1"), description="what a refusal while executors are free takes off the factor"
    )
    healing_per_hour: Ratio = Field(
        Decimal("0.1"), description="what an hour of work gives back to the factor"
    )
    least_factor: Ratio = Field(Decimal(0), description="below which refusals lower no factor")


class AllowanceParameters(_Group):
    """Points of the formula `allowance`."""

    multiplier: Value = Field(Decimal(1), description="of what each block gives")
    block_expiry: Count = Field(722, description="blocks after which allowance cannot be spent")
    leeway_lower: Count = Field(15, description="blocks by which older allowance is accepted")
    leeway_upper: Count = Field(0, description="blocks by which later allowance is accepted")


class DancingParameters(_Group):
    """The dancing bonus and the split over the hotkeys of a coldkey."""

    kind: Dancing = Field(
        Dancing.MAIN_HOTKEY, description="what earns the bonus: `none`, `size` or `main_hotkey`"
    )
    bonus: Ratio = Field(
        Decimal("0.3"),
        description="0.3 as of December 2024, 0.05 (size) and 0.1 (main hotkey) in other versions",
    )
    size_threshold: Annotated[Decimal, Field(ge=1, le=1000), AfterValidator(_plain)] = Field(
        Decimal("1.4"), description="ratio of the sizes in two peak cycles that earns the bonus"
    )
    main_hotkey_share: Ratio | None = Field(
        Decimal("0.8"), description="of a coldkey's points; null: each hotkey keeps its own"
    )


class PeakParameters(_Group):
    """What is expected of miners outside peak cycles."""

    minimum_ratio: Ratio = Field(Decimal("0.1"), description="of the executors at the peak")
    penalty: Ratio = Field(Decimal("0.8"), description="factor of a miner that has fewer")


class BurnParameters(_Group):
    """What part of all weights goes to burn targets."""

    targets: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(
        (), description="hotkeys; those that are not registered do not count"
    )
    rate: Ratio = Field(Decimal(0), description="part of all weights that is burned")
    partition: Ratio = Field(Decimal(0), description="part of it that the main burner gets")


class LimitParameters(_Group):
    """The chain's limits, as read from the chain for this cycle."""

    min_allowed_weights: Count = Field(0, description="fewest weights that the chain takes")
    max_weight: int = Field(65535, ge=1, le=65535, description="largest share, of 65535")


class ScoringParameters(_Group):
    """Everything that a formula needs besides the facts of the cycle."""

    formula: FormulaName = Field(description="which of the three")
    version: str = Field(
        "1", min_length=1, max_length=40, description="name of this set of parameters"
    )
    class_weights: ByClass = Field(
        CLASS_WEIGHTS, description="divides the reward among classes; not used by `seconds`"
    )
    horde: HordeParameters = HordeParameters()
    jobs: JobParameters = JobParameters()
    seconds: SecondsParameters = SecondsParameters()
    allowance: AllowanceParameters = AllowanceParameters()
    dancing: DancingParameters = DancingParameters()
    peak: PeakParameters = PeakParameters()
    burn: BurnParameters = BurnParameters()
    limits: LimitParameters = LimitParameters()

    @model_validator(mode="after")
    def _some_class_counts(self) -> "ScoringParameters":
        counted = (
            self.seconds.class_values if self.formula == FormulaName.SECONDS else self.class_weights
        )
        if not any(counted.values()):
            raise ValueError("at least one class must have a weight above 0")
        return self

    def canonical_json(self) -> str:
        """The parameters as JSON: equal parameters have equal bytes on every machine."""
        return signing.compact_json(self.model_dump(mode="json")).decode()


_SPIN_UP = (ExecutorClass.spin_up_4min__gpu_24gb,)
_BY_SIZE = DancingParameters(kind=Dancing.SIZE, main_hotkey_share=None)

# The newest version of each formula, as a validator uses it unless its operator chooses others.
DEFAULTS = {
    FormulaName.JOBS: ScoringParameters(
        formula=FormulaName.JOBS,
        version="jobs-1",
        horde=HordeParameters(classes=_SPIN_UP),
        dancing=_BY_SIZE,
    ),
    FormulaName.SECONDS: ScoringParameters(
        formula=FormulaName.SECONDS, version="seconds-1", dancing=_BY_SIZE
    ),
    FormulaName.ALLOWANCE: ScoringParameters(
        formula=FormulaName.ALLOWANCE,
        version="allowance-1",
        dancing=DancingParameters(kind=Dancing.MAIN_HOTKEY, bonus=Decimal("0.1")),
    ),
}


def with_changes(parameters: ScoringParameters, changes: Mapping[str, Any]) -> ScoringParameters:
    """The parameters with other values; groups are merged, class weights replaced.

    Raises:
        ValueError: an unknown name, or a value that is not allowed.
    """
    known = parameters.model_dump(mode="json")
    merged = {
        name: {**known[name], **value}
        if isinstance(value, Mapping) and name in known and name != "class_weights"
        else value
        for name, value in changes.items()
    }
    return ScoringParameters.model_validate({**known, **merged})
