"""A chain of which calls fail, of which nodes are behind, and in which validators are killed."""

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
# How many blocks a node may be behind; a connection gets one of these.
LAGS = (0, 0, 0, 1, 5)


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
    """Fails `failing` of all calls; a write that fails without an answer may be included later.

    The validator is the first of the neurons, and is killed in `killing` of all calls. Every
    connection leads to a node that may be behind.
    """

    rng: random.Random
    neurons: list[Neuron]
    failing: float = 0.3
    killing: float = 0.02
    block: int = 0
    pool: list[Pending] = field(default_factory=list)
    # The included transactions, as blocks and weights, in their order.
    included: list[tuple[int, dict[int, int]]] = field(default_factory=list)
    lag: int = 0

    def advance(self, block: int) -> None:
        """Let time pass until `block`; due transactions are included on the way."""
        for pending in sorted(self.pool, key=lambda one: one.due):
            if pending.due <= block:
                self.pool.remove(pending)
                if pending.due <= pending.expires:
                    self.included.append((pending.due, pending.weights))
        self.block = block

    @contextmanager
    def opened(self) -> Iterator["UnreliableChain"]:
        """A connection; opening one may fail too."""
        self._risk()
        self.lag = self.rng.choice(LAGS)
        yield self

    def finalized_head(self) -> int:
        """See `Chain`."""
        self._risk()
        return self._head - FINALITY

    def metagraph(self, block: int | None = None) -> Metagraph:
        """See `Chain`."""
        self._risk()
        at = self._head if block is None else block
        updated = max((one for one, _ in self.included if one <= at), default=0)
        us = replace(self.neurons[0], last_update=updated)
        return Metagraph(at, (us, *self.neurons[1:]))

    def hyperparameters(self) -> Hyperparameters:
        """See `Chain`."""
        self._risk()
        return Hyperparameters(360, 100, 2, 1, 65535, False, 1, 0)

    def weights(self, uid: int, mechanism: int = 0) -> dict[int, int]:
        """See `Chain`."""
        del uid, mechanism
        self._risk()
        return next((row for block, row in self.included[::-1] if block <= self._head), {})

    def weight_commits(self, hotkey: str, mechanism: int = 0) -> tuple[WeightCommit, ...]:
        """See `Chain`."""
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
        """See `Chain`."""
        del mechanism, version
        if last_block is None or last_block < self.block:
            raise ChainRefused("the transaction has expired", "invalid")
        values = {uid: int(value) for uid, value in weights.items()}
        self._kill()
        if self.rng.random() < self.failing:
            fate = self.rng.choice(["lost", "late", "refused"])
            if fate == "refused":
                raise ChainRefused("the pool is full", "unknown")
            if fate == "late":
                late = self.block + self.rng.randint(1, 2 * (last_block - self.block) + 1)
                self.pool.append(Pending(values, late, last_block))
            raise ChainUnreachable("no answer in time")
        self.included.append((self.block, values))
        self._kill()
        return AcceptedWeights(self.block, None)

    @property
    def _head(self) -> int:
        return self.block - self.lag

    def _risk(self) -> None:
        self._kill()
        if self.rng.random() < self.failing:
            raise ChainUnreachable("no answer in time")

    def _kill(self) -> None:
        if self.rng.random() < self.killing:
            raise Killed
