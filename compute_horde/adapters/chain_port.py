"""The interface of the chain: data types, errors and the port. Imports nothing heavy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from compute_horde.errors import ChainError

RAO_PER_TAO = 10**9


class ChainUnreachable(ChainError):
    """No answer in time. A write may still take effect: check before retrying."""


class ChainUnreadable(ChainError):
    """The chain answered, but this SDK cannot decode it, usually after a runtime upgrade.

    No value is returned and nothing is signed; an SDK release made for the new runtime helps.
    """


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
    """One participant of the subnet; `port` is 0 when it serves no address.

    `emission_rao` is what it was paid in the last epoch, in rao of the subnet's alpha.
    """

    uid: int
    hotkey: str
    coldkey: str
    total_stake_rao: int
    validator_permit: bool
    ip: str
    port: int
    last_update: int
    emission_rao: int = 0


@dataclass(frozen=True, slots=True)
class Metagraph:
    """All neurons at one block, by uid."""

    block: int
    neurons: tuple[Neuron, ...]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The subnet's settings used here; durations are in blocks.

    A validator that sets no weights for longer than `activity_cutoff` is inactive.
    """

    tempo: int
    weights_rate_limit: int
    weights_version: int
    min_allowed_weights: int
    max_weights_limit: int
    commit_reveal_weights_enabled: bool
    commit_reveal_period: int
    serving_rate_limit: int
    activity_cutoff: int | None = None


@dataclass(frozen=True, slots=True)
class EpochSchedule:
    """When the subnet's epochs run, as the chain stored it at the end of `block`.

    The chain runs an epoch when a triggered one is due, `tempo` blocks after `last_epoch_block`,
    which is that of the last epoch or of the last change of the tempo, or more than `tempo`
    blocks after the last step. It may defer an epoch by some blocks, so `next_epoch_block` is a
    prediction; it is None without epochs, that is with a tempo of 0. `epoch_index` counts the
    epochs.
    """

    block: int
    tempo: int
    last_epoch_block: int
    pending_epoch_block: int | None
    epoch_index: int
    blocks_since_last_step: int
    next_epoch_block: int | None


@dataclass(frozen=True, slots=True)
class AcceptedWeights:
    """Weights that the chain accepted in `block`; encrypted until a drand round, if any."""

    block: int
    reveal_round: int | None


@dataclass(frozen=True, slots=True)
class WeightCommit:
    """Encrypted weights that the chain holds and has not revealed yet.

    They were committed in `block`, in the epoch of that index, and are to be revealed by the
    drand round `reveal_round`, which is published at `reveals_at`.
    """

    epoch_index: int
    block: int
    reveal_round: int
    reveals_at: datetime


@dataclass(frozen=True, slots=True)
class SubnetEvent:
    """An event of this subnet in one block; what its kind does not have is None.

    `name` is the chain's own, such as `WeightsSet`, `TimelockedWeightsRevealed` or
    `TimelockRevealFailed`.
    """

    name: str
    mechanism: int | None = None
    uid: int | None = None
    hotkey: str | None = None
    reveal_round: int | None = None


@dataclass(frozen=True, slots=True)
class Collateral:
    """Stake of a miner that is locked on the chain itself, in rao of the subnet's alpha.

    Pay releases what is locked above the minimum, `drain_ratio` for each unit, and fills what is
    missing below it. `earned_rao` is what the miner was paid since it has collateral.
    """

    locked_rao: int
    minimum_rao: int
    earned_rao: int
    drain_ratio: Decimal


@dataclass(frozen=True, slots=True)
class CollateralPolicy:
    """The subnet's rules of collateral; without any, `lock_share` is 0.

    `lock_share` is the share of the price of registration that is locked instead of burnt.
    """

    lock_share: Decimal
    drain_ratio: Decimal


@dataclass(frozen=True, slots=True)
class KeyLineage:
    """The first keys of the lines of swaps that led to a hotkey and to its coldkey.

    Without swaps they are the keys themselves. A ban must hold for the roots, since a swap gives
    a neuron other keys. `successor` is the hotkey that replaced this one, if any.
    """

    hotkey_root: str
    coldkey_root: str
    successor: str | None


class Chain(Protocol):
    """The chain port. Every method may raise `ChainError`."""

    def head(self) -> int:
        """The number of the newest block."""

    def finalized_head(self) -> int:
        """The number of the newest finalized block."""

    def block_hash(self, block: int) -> str:
        """The hash of a block, as `0x` hex."""

    def spec_version(self) -> int:
        """The version of the chain's runtime now."""

    def metagraph(self, block: int | None = None) -> Metagraph:
        """All neurons, now or as they were at `block`.

        Raises `ChainUnreadable` for a metagraph that contradicts itself or cannot be decoded.
        """

    def hyperparameters(self) -> Hyperparameters:
        """The subnet's settings now."""

    def epoch_schedule(self, block: int | None = None) -> EpochSchedule:
        """When epochs run, as the chain knows it now or knew it at `block`."""

    def serve_axon(self, ip: str, port: int) -> None:
        """Publish the address of our neuron."""

    def mechanism_count(self) -> int:
        """How many mechanisms the subnet has, 1 to 8; each has weights of its own."""

    def set_weights(
        self,
        weights: Mapping[int, Decimal | float],
        mechanism: int = 0,
        *,
        version: int = 0,
        last_block: int | None = None,
    ) -> AcceptedWeights:
        """Set relative weights by uid, in plain text or encrypted, as the subnet requires.

        It sends one transaction and never repeats it. `version` is that of the scoring, which the
        subnet may require. No block after `last_block` can include the transaction; without room
        for that it is not signed.
        """

    def weights(self, uid: int, mechanism: int = 0) -> dict[int, int]:
        """The weights that a neuron has set, by uid; the greatest is 65535."""

    def weight_commits(self, hotkey: str, mechanism: int = 0) -> tuple[WeightCommit, ...]:
        """The encrypted weights of a neuron that are not revealed yet, oldest first."""

    def events(self, block: int) -> tuple[SubnetEvent, ...]:
        """The subnet's events in a block, in their order: weights, epochs, registrations."""

    def collateral(self, hotkey: str) -> Collateral | None:
        """What a miner's owner has locked for it; None if nothing ever."""

    def collaterals(self) -> dict[str, Collateral]:
        """All collateral on the subnet, by hotkey, that of the hotkeys' owners alone."""

    def collateral_policy(self) -> CollateralPolicy:
        """The subnet's rules of collateral."""

    def lineage(self, hotkey: str) -> KeyLineage:
        """The lines of swaps that led to a hotkey and its coldkey."""

    def set_commitment(self, text: str) -> None:
        """Publish the commitment of our neuron, a short text."""

    def commitment(self, hotkey: str) -> str | None:
        """The commitment of a neuron."""

    def commitments(self) -> dict[str, str]:
        """All commitments, by hotkey."""


def endpoints(urls: str | Sequence[str]) -> list[str]:
    """Addresses of nodes or names of networks, of which one text may hold several with commas.

    Raises `ChainRefused` without any.
    """
    texts = [urls] if isinstance(urls, str) else urls
    found = [url.strip() for text in texts for url in text.split(",") if url.strip()]
    if not found:
        raise ChainRefused("no address of a chain node is given", "invalid_argument")
    return found
