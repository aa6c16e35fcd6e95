"""The chain as the services see it: its words, its refusals and the port. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from compute_horde.errors import ChainError


class ChainUnreachable(ChainError):
    """No answer, or none in time. What was being written may still happen: look before retrying."""


class ChainRefused(ChainError):
    """The chain said no.

    `reason` is the SDK's word for the kind of refusal (`rate_limited`, `invalid_argument`, …),
    `name` the chain's own error, such as `SettingWeightsTooFast`, where there is one.
    """

    def __init__(self, detail: str, reason: str, name: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.name = name


class RateLimited(ChainRefused):
    """Too soon after the last time; wait some blocks."""


class NotRegistered(ChainRefused):
    """The hotkey is no neuron of this subnet."""


class NotPermitted(ChainRefused):
    """The neuron lacks the permit or the stake for this."""


@dataclass(frozen=True, slots=True)
class Neuron:
    """One participant of the subnet; `port` is 0 when it serves nothing."""

    uid: int
    hotkey: str
    coldkey: str
    total_stake_rao: int
    validator_permit: bool
    ip: str
    port: int
    last_update: int


@dataclass(frozen=True, slots=True)
class Metagraph:
    """All neurons at one block, by uid."""

    block: int
    neurons: tuple[Neuron, ...]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The subnet's settings that matter to us; lengths of time are in blocks."""

    tempo: int
    weights_rate_limit: int
    weights_version: int
    min_allowed_weights: int
    max_weights_limit: int
    commit_reveal_weights_enabled: bool
    commit_reveal_period: int
    serving_rate_limit: int


@dataclass(frozen=True, slots=True)
class WeightsSet:
    """Weights the chain accepted: in `block`, sealed until a drand round if there is one."""

    block: int
    reveal_round: int | None


class Chain(Protocol):
    """What the services need of a chain. Every method may raise `ChainError`."""

    def head(self) -> int:
        """The number of the newest block."""

    def finalized_head(self) -> int:
        """The number of the newest block that cannot be undone."""

    def block_hash(self, block: int) -> str:
        """The hash of a block, as `0x` hex."""

    def metagraph(self, block: int | None = None) -> Metagraph:
        """All neurons, now or as they were at `block`."""

    def hyperparameters(self) -> Hyperparameters:
        """The subnet's settings now."""

    def serve_axon(self, ip: str, port: int) -> None:
        """Publish where our neuron listens."""

    def set_weights(self, weights: Mapping[int, Decimal | float]) -> WeightsSet:
        """Set relative weights by uid, in the open or sealed, as the subnet demands."""

    def weights(self, uid: int) -> dict[int, int]:
        """The weights a neuron has set, by uid; the greatest is 65535."""

    def set_commitment(self, text: str) -> None:
        """Publish a short text beside our neuron."""

    def commitment(self, hotkey: str) -> str | None:
        """The text a neuron has published."""

    def commitments(self) -> dict[str, str]:
        """All published texts, by hotkey."""
