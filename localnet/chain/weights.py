"""Which weights a neuron may set: pure rules, each broken rule is the chain's own error."""

from collections.abc import Sequence
from dataclasses import dataclass

U16_MAX = 65535
COMMIT_BYTES_LIMIT = 5000
UNREVEALED_COMMITS_LIMIT = 10

Row = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Setter:
    """What the chain knows of the neuron that sets weights."""

    uid: int
    stake: int
    permitted: bool
    blocks_since_update: int | None


@dataclass(frozen=True, slots=True)
class Limits:
    """The subnet's hyperparameters about weights."""

    neurons: int
    stake_threshold: int
    rate_limit: int
    version_key: int
    min_weights: int
    max_weight: int


def too_soon(setter: Setter, limits: Limits) -> bool:
    """Whether the neuron updated its weights too few blocks ago."""
    since = setter.blocks_since_update
    return since is not None and since < limits.rate_limit


def problem(
    setter: Setter,
    limits: Limits,
    uids: Sequence[int],
    values: Sequence[int],
    version_key: int,
) -> str | None:
    """The name of the first broken rule, in the order in which the chain looks."""
    return (
        _lengths(limits, uids, values)
        or _right_to_set(setter, limits, uids, version_key)
        or _row(setter, limits, uids, values)
    )


def stored(uids: Sequence[int], values: Sequence[int]) -> Row:
    """The row as it is kept: scaled so that the greatest weight is the greatest u16."""
    top = max(values, default=0)
    if top == 0:
        return list(zip(uids, values, strict=True))
    return [(uid, value * U16_MAX // top) for uid, value in zip(uids, values, strict=True)]


def _lengths(limits: Limits, uids: Sequence[int], values: Sequence[int]) -> str | None:
    if len(uids) != len(values):
        return "WeightVecNotEqualSize"
    if len(uids) > limits.neurons:
        return "UidsLengthExceedUidsInSubNet"
    return None


def _right_to_set(
    setter: Setter, limits: Limits, uids: Sequence[int], version_key: int
) -> str | None:
    if setter.stake < limits.stake_threshold:
        return "NotEnoughStakeToSetWeights"
    if version_key < limits.version_key:
        return "IncorrectWeightVersionKey"
    if too_soon(setter, limits):
        return "SettingWeightsTooFast"
    if not setter.permitted and list(uids) != [setter.uid]:
        return "NeuronNoValidatorPermit"
    return None


def _row(setter: Setter, limits: Limits, uids: Sequence[int], values: Sequence[int]) -> str | None:
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
