"""The interface of the chain: data types, errors and the port. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from compute_horde.errors import ChainError


class ChainUnreachable(ChainError):
    """No answer in time. A write may still take effect: check before retrying."""


class ChainRefused(ChainError):
    """The chain refused a call.

    `reason` is the SDK's code (`rate_limited`, `invalid_argument`, …), `name` the chain's own
    error, such as `SettingWeightsTooFast`, or empty.
    """

    def __init__(self, detail: str, reason: str, name: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.name = name


class RateLimited(ChainRefused):
    """Too soon after the previous call; wait some blocks."""


class NotRegistered(ChainRefused):
    """The hotkey is not registered on this subnet."""


class NotPermitted(ChainRefused):
    """The neuron lacks the permit or the stake for this call."""


@dataclass(frozen=True, slots=True)
class Neuron:
    """One participant of the subnet; `port` is 0 when it serves no address."""

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
    """The subnet's settings used here; durations are in blocks."""

    tempo: int
    weights_rate_limit: int
    weights_version: int
    min_allowed_weights: int
    max_weights_limit: int
    commit_reveal_weights_enabled: bool
    commit_reveal_period: int
    serving_rate_limit: int


@dataclass(frozen=True, slots=True)
class WeightCommit:
    """Weights of ours that are still sealed: included in `block`, opened after a drand round."""

    block: int
    reveal_round: int


@dataclass(frozen=True, slots=True)
class AcceptedWeights:
    """Weights that the chain accepted in `block`; encrypted until a drand round, if any."""

    block: int
    reveal_round: int | None


class Chain(Protocol):
    """The chain port. Every method may raise `ChainError`."""

    def head(self) -> int:
        """The number of the newest block."""

    def finalized_head(self) -> int:
        """The number of the newest finalized block."""

    def block_hash(self, block: int) -> str:
        """The hash of a block, as `0x` hex."""

    def metagraph(self, block: int | None = None) -> Metagraph:
        """All neurons, now or as they were at `block`."""

    def hyperparameters(self) -> Hyperparameters:
        """The subnet's settings now."""

    def serve_axon(self, ip: str, port: int) -> None:
        """Publish the address of our neuron."""

    def set_weights(
        self,
        weights: Mapping[int, Decimal | float],
        *,
        version: int = 0,
        valid_blocks: int = 128,
    ) -> AcceptedWeights:
        """Set relative weights by uid, in plain text or encrypted, as the subnet requires.

        `version` is that of the scoring, which the subnet may require. `valid_blocks`, a power of
        two from 4 up, is for how many blocks the chain may include the transaction.
        """

    def weights(self, uid: int) -> dict[int, int]:
        """The weights that a neuron has set, by uid; the greatest is 65535."""

    def weight_commits(self, hotkey: str) -> tuple[WeightCommit, ...]:
        """The weights of a neuron that are still sealed."""

    def set_commitment(self, text: str) -> None:
        """Publish the commitment of our neuron, a short text."""

    def commitment(self, hotkey: str) -> str | None:
        """The commitment of a neuron."""

    def commitments(self) -> dict[str, str]:
        """All commitments, by hotkey."""
