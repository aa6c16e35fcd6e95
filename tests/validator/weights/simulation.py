"""A chain that fails often and validators that are killed at random points, over many cycles."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

from compute_horde.adapters.chain_port import (
    AcceptedWeights,
    ChainRefused,
    ChainUnreachable,
    Hyperparameters,
    Metagraph,
    Neuron,
    WeightCommit,
)

FINALITY = 3


class Killed(BaseException):
    """The process of the validator ends here."""


@dataclass(frozen=True)
class Pending:
    """A transaction in the pool: included in `due`, unless that is after `expires`."""

    weights: dict[int, int]
    due: int
    expires: int


@dataclass
class UnreliableChain:
    """Fails `failing` of all calls; a write that fails without an answer may be included later."""

    rng: random.Random
    neurons: list[Neuron]
    failing: float = 0.3
    killing: float = 0.02
    block: int = 0
    pool: list[Pending] = field(default_factory=list)
    # The block of every included transaction, and our last update by block.
    included: list[int] = field(default_factory=list)
    held: dict[int, int] = field(default_factory=dict)

    def advance(self, block: int) -> None:
        """Let time pass until `block`; due transactions are included on the way."""
        for pending in sorted(self.pool, key=lambda one: one.due):
            if pending.due <= block:
                self.pool.remove(pending)
                if pending.due <= pending.expires:
                    self._include(pending.weights, pending.due)
        self.block = block

    @contextmanager
    def opened(self) -> Iterator["UnreliableChain"]:
        """A connection; opening one may fail too."""
        self._risk()
        yield self

    def finalized_head(self) -> int:
        self._risk()
        return self.block - FINALITY

    def metagraph(self, block: int | None = None) -> Metagraph:
        self._risk()
        at = self.block if block is None else block
        updated = max((one for one in self.included if one <= at), default=0)
        us = replace(self.neurons[0], last_update=updated)
        return Metagraph(at, (us, *self.neurons[1:]))

    def hyperparameters(self) -> Hyperparameters:
        self._risk()
        return Hyperparameters(360, 100, 2, 1, 65535, False, 1, 0)

    def weights(self, uid: int, mechanism: int = 0) -> dict[int, int]:
        del uid, mechanism
        self._risk()
        return self.held

    def weight_commits(self, hotkey: str, mechanism: int = 0) -> tuple[WeightCommit, ...]:
        del hotkey, mechanism
        self._risk()
        return ()

    def set_weights(
        self,
        weights: Mapping[int, Decimal | float],
        mechanism: int = 0,
        *,
        version: int = 0,
        last_block: int | None = None,
    ) -> AcceptedWeights:
        del mechanism, version
        assert last_block is not None
        values = {uid: int(value) for uid, value in weights.items()}
        self._kill()
        if self.rng.random() < self.failing:
            fate = self.rng.choice(["lost", "late", "refused"])
            if fate == "refused":
                raise ChainRefused("the pool is full", "unknown")
            if fate == "late":
                late = self.block + self.rng.randint(1, 2 * (last_block - self.block))
                self.pool.append(Pending(values, late, last_block))
            raise ChainUnreachable("no answer in time")
        self._include(values, self.block)
        self._kill()
        return AcceptedWeights(self.block, None)

    def _include(self, weights: dict[int, int], block: int) -> None:
        self.included.append(block)
        self.held = weights

    def _risk(self) -> None:
        self._kill()
        if self.rng.random() < self.failing:
            raise ChainUnreachable("no answer in time")

    def _kill(self) -> None:
        if self.rng.random() < self.killing:
            raise Killed
