"""A fake chain with a given state that records the weights set on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from compute_horde.adapters.chain_port import (
    AcceptedWeights,
    Hyperparameters,
    Metagraph,
    Neuron,
    WeightCommit,
)


def neuron(uid: int, hotkey: str, **fields: Any) -> Neuron:
    """A neuron with an address."""
    given = {
        "coldkey": f"cold-{hotkey}",
        "total_stake_rao": 10**9,
        "validator_permit": False,
        "ip": "127.0.0.1",
        "port": 8000 + uid,
        "last_update": 0,
    }
    return Neuron(uid=uid, hotkey=hotkey, **(given | fields))


@dataclass
class FakeChain:
    """Tempo 9, so that a cycle has 20 blocks; on netuid 8 they begin at multiples of 20.

    The neuron `setter` (a uid) is the one that sets weights.
    """

    block: int = 0
    neurons: list[Neuron] = field(default_factory=list)
    tempo: int = 9
    problems: list[BaseException] = field(default_factory=list)
    set: list[dict[int, Any]] = field(default_factory=list)
    hyper: dict[str, Any] = field(default_factory=dict)
    setter: int = 0
    sealed: tuple[WeightCommit, ...] = ()
    held: dict[int, int] | None = None
    unfinalized: int = 0
    unreadable: Exception | None = None
    unanswered: Exception | None = None

    def head(self) -> int:
        return self.block

    def finalized_head(self) -> int:
        if self.unanswered:
            raise self.unanswered
        return self.block - self.unfinalized

    def metagraph(self, block: int | None = None) -> Metagraph:
        return Metagraph(self.block if block is None else block, tuple(self.neurons))

    def hyperparameters(self) -> Hyperparameters:
        known = Hyperparameters(self.tempo, 0, 0, 1, 65535, False, 1, 0)
        return replace(known, **self.hyper)

    def set_weights(
        self,
        weights: Mapping[int, Decimal | float],
        mechanism: int = 0,
        *,
        version: int = 0,
        last_block: int | None = None,
    ) -> AcceptedWeights:
        del mechanism, version, last_block
        if self.problems:
            raise self.problems.pop(0)
        self.include(weights)
        return AcceptedWeights(self.block, None)

    def include(self, weights: Mapping[int, Decimal | float]) -> None:
        """Take weights into the present block."""
        self.set.append(dict(weights))
        self.neurons[self.setter] = replace(self.neurons[self.setter], last_update=self.block)

    def weights(self, uid: int, mechanism: int = 0) -> dict[int, int]:
        del uid, mechanism
        if self.unreadable:
            raise self.unreadable
        if self.held is not None:
            return self.held
        return {target: int(value) for target, value in self.set[-1].items()} if self.set else {}

    def weight_commits(self, hotkey: str, mechanism: int = 0) -> tuple[WeightCommit, ...]:
        del hotkey, mechanism
        return self.sealed
