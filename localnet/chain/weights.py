"""The rules for setting weights, and subtensor's error for each broken rule; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

U16_MAX = 65535
COMMIT_BYTES_LIMIT = 5000
UNREVEALED_COMMITS_LIMIT = 10

WeightRow = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class WeightSetter:
    """The neuron that sets weights; its stake is in rao."""

    uid: int
    stake: int
    has_permit: bool
    blocks_since_update: int | None

    def without_update(self) -> "WeightSetter":
        """The same neuron without a last update: no rate limit holds for a reveal."""
        return replace(self, blocks_since_update=None)


@dataclass(frozen=True, slots=True)
class WeightLimits:
    """The hyperparameters of the subnet for weights."""

    neurons: int
    stake_threshold: int
    rate_limit: int
    version_key: int
    min_weights: int
    max_weight: int


def is_rate_limited(setter: WeightSetter, limits: WeightLimits) -> bool:
    """Whether the neuron's last update is fewer blocks ago than the rate limit."""
    since = setter.blocks_since_update
    return since is not None and since < limits.rate_limit


def problem(
    setter: WeightSetter,
    limits: WeightLimits,
    uids: Sequence[int],
    values: Sequence[int],
    version_key: int,
) -> str | None:
    """The error of the first broken rule, in subtensor's order; None if all are kept."""
    return (
        _lengths(limits, uids, values)
        or _permission(setter, limits, uids, version_key)
        or _row(setter, limits, uids, values)
    )


def scaled_row(uids: Sequence[int], values: Sequence[int]) -> WeightRow:
    """The weights as they are stored: scaled so that the greatest is 65535."""
    top = max(values, default=0)
    if top == 0:
        return list(zip(uids, values, strict=True))
    return [(uid, value * U16_MAX // top) for uid, value in zip(uids, values, strict=True)]


def _lengths(limits: WeightLimits, uids: Sequence[int], values: Sequence[int]) -> str | None:
    if len(uids) != len(values):
        return "WeightVecNotEqualSize"
    if len(uids) > limits.neurons:
        return "UidsLengthExceedUidsInSubNet"
    return None


def _permission(
    setter: WeightSetter, limits: WeightLimits, uids: Sequence[int], version_key: int
) -> str | None:
    if setter.stake < limits.stake_threshold:
        return "NotEnoughStakeToSetWeights"
    if version_key < limits.version_key:
        return "IncorrectWeightVersionKey"
    if is_rate_limited(setter, limits):
        return "SettingWeightsTooFast"
    if not setter.has_permit and list(uids) != [setter.uid]:
        return "NeuronNoValidatorPermit"
    return None


def _row(
    setter: WeightSetter, limits: WeightLimits, uids: Sequence[int], values: Sequence[int]
) -> str | None:
    if len(set(uids)) != len(uids):
        return "DuplicateUids"
    if any(uid >= limits.neurons for uid in uids):
        return "UidVecContainInvalidOne"
    if list(uids) == [setter.uid]:
        return None
    if len(uids) < limits.min_weights:
        return "WeightVecLengthIsLow"
    total = sum(values)
    if total and max(values) * U16_MAX > limits.max_weight * total:
        return "MaxWeightExceeded"
    return None
