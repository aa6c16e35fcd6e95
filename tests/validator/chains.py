"""A fake chain with a given state that records the weights set on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from compute_horde.adapters.chain_port import (
    AcceptedWeights,
    Hyperparameters,
    Metagraph,
    Neuron,
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
    """Tempo 9, so that a cycle has 20 blocks; on netuid 8 they begin at multiples of 20."""

    block: int = 0
    neurons: list[Neuron] = field(default_factory=list)
    tempo: int = 9
    problems: list[Exception] = field(default_factory=list)
    set: list[dict[int, Decimal]] = field(default_factory=list)

    def head(self) -> int:
        return self.block

    def finalized_head(self) -> int:
        return self.block

    def metagraph(self, block: int | None = None) -> Metagraph:
        return Metagraph(self.block, tuple(self.neurons))

    def hyperparameters(self) -> Hyperparameters:
        return Hyperparameters(self.tempo, 0, 0, 1, 65535, False, 1, 0)

    def set_weights(self, weights: Mapping[int, Decimal]) -> AcceptedWeights:
        if self.problems:
            raise self.problems.pop(0)
        self.set.append(dict(weights))
        return AcceptedWeights(self.block, None)
