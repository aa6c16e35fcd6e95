"""The network as it was at a block, computed from the facts of the change log."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# The kinds of facts.
NEURON, ADDRESS, STAKE = "neuron", "address", "stake"
MANIFEST, HYPERPARAMETERS = "manifest", "hyperparameters"


@dataclass(frozen=True, slots=True)
class LoggedFact:
    """A row of the change log: `value` holds from `from_block` up to before `until_block`."""

    kind: str
    subject: str
    item: str
    value: Any
    from_block: int
    until_block: int | None
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class PastNeuron:
    """A neuron as it was; `port` is 0 when it announced no address."""

    hotkey: str
    uid: int
    coldkey: str
    validator_permit: bool
    stake_rao: int
    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The network at `block`.

    `known_from` is the first block of the run of observed blocks that `block` is in. When it is
    None, neurons, stakes, addresses and hyperparameters are as they were last seen before.
    `manifests_known_from` says the same of manifests, which no chain can tell afterwards.

    Manifests are the effective ones, by hotkey and executor class, without counts of 0.
    Hyperparameters are by name, None when they were not logged yet.
    """

    block: int
    known_from: int | None
    manifests_known_from: int | None
    neurons: Mapping[str, PastNeuron]
    manifests: Mapping[str, Mapping[str, int]]
    hyperparameters: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one fact; `before` is None when it is new, `after` when it ended."""

    block: int
    at: datetime | None
    kind: str
    item: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class History:
    """The change log for blocks from `first` up to, not including, `stop`.

    The runs of observed blocks are pairs of first and last block.
    """

    first: int
    stop: int
    facts: tuple[LoggedFact, ...]
    observed: tuple[tuple[int, int], ...] = ()
    manifests_observed: tuple[tuple[int, int], ...] = ()

    def at(self, block: int) -> NetworkState:
        """The network at `block`; `ValueError` when that is outside this history."""
        if not self.first <= block < self.stop:
            raise ValueError(f"block {block} is outside {self.first} to {self.stop - 1}")
        held = [fact for fact in self.facts if _holds(fact, block)]
        neurons = dict(_neurons(held))
        manifests: dict[str, dict[str, int]] = {}
        for fact in held:
            if fact.kind == MANIFEST and fact.subject in neurons:
                manifests.setdefault(fact.subject, {})[fact.item] = fact.value
        parameters = (fact.value for fact in held if fact.kind == HYPERPARAMETERS)
        return NetworkState(
            block,
            _run(self.observed, block),
            _run(self.manifests_observed, block),
            neurons,
            manifests,
            next(parameters, None),
        )

    def change_blocks(self) -> list[int]:
        """The first block and those in which something changed: between them all is the same."""
        blocks = {fact.from_block for fact in self.facts} | {
            fact.until_block for fact in self.facts if fact.until_block is not None
        }
        return [self.first, *sorted(b for b in blocks if self.first < b < self.stop)]


def changes_of(facts: Iterable[LoggedFact], since: int, until: int | None = None) -> list[Change]:
    """The changes in blocks from `since` up to, not including, `until` if given, oldest first.

    `facts` must be those of one subject that hold in any block from `since - 1` to `until`.
    """
    found: list[Change] = []
    unfollowed: dict[tuple[str, str, int | None], LoggedFact] = {}
    for fact in sorted(facts, key=lambda one: one.from_block):
        previous = unfollowed.pop((fact.kind, fact.item, fact.from_block), None)
        before = None if previous is None else previous.value
        found.append(
            Change(fact.from_block, fact.began_at, fact.kind, fact.item, before, fact.value)
        )
        unfollowed[fact.kind, fact.item, fact.until_block] = fact
    for fact in unfollowed.values():
        if fact.until_block is not None:
            found.append(
                Change(fact.until_block, fact.ended_at, fact.kind, fact.item, fact.value, None)
            )
    within = [one for one in found if since <= one.block and (until is None or one.block < until)]
    return sorted(within, key=lambda one: (one.block, one.kind, one.item))


def _neurons(held: list[LoggedFact]) -> Iterator[tuple[str, PastNeuron]]:
    stakes = {fact.subject: fact.value for fact in held if fact.kind == STAKE}
    addresses = {fact.subject: fact.value for fact in held if fact.kind == ADDRESS}
    for fact in held:
        if fact.kind == NEURON:
            address = addresses.get(fact.subject, {})
            yield (
                fact.subject,
                PastNeuron(
                    hotkey=fact.subject,
                    uid=fact.value["uid"],
                    coldkey=fact.value["coldkey"],
                    validator_permit=fact.value["permit"],
                    stake_rao=stakes.get(fact.subject, 0),
                    ip=address.get("ip", ""),
                    port=address.get("port", 0),
                ),
            )


def _holds(fact: LoggedFact, block: int) -> bool:
    return fact.from_block <= block and (fact.until_block is None or block < fact.until_block)


def _run(observed: Iterable[tuple[int, int]], block: int) -> int | None:
    return next((first for first, last in observed if first <= block <= last), None)
