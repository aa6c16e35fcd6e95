"""Sets the weights of cycle after cycle as the periodic task does, and says how it went.

Modules of the validator are imported by name: they need its settings, and types are checked with
those of another service.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from benchmarks.many_cycles.unreliable_chain import Killed, UnreliableChain
from compute_horde.adapters.chain_port import Neuron
from compute_horde.cycles import Cycle, cycle_at

NETUID, TEMPO = 12, 360
FIRST = cycle_at(10_000, netuid=NETUID, tempo=TEMPO)
# Of the statements that the validator sends to its database, before and after each.
KILLED_STATEMENTS = 0.002


@dataclass(frozen=True)
class Outcome:
    """What became of the windows: how many ended in each way, and the transactions of each.

    `windows` counts pairs of the state and the landing that the validator stored; it must be
    published and landed for each. `transactions` has how many windows had so many on the chain.
    """

    cycles: int
    windows: dict[tuple[str, str], int]
    transactions: dict[int, int]
    kills: int
    submissions: dict[str, int]

    @property
    def is_good(self) -> bool:
        """Whether no window was missed, and none has two transactions."""
        return self.windows == {("published", "landed"): self.cycles} and self.transactions == {
            1: self.cycles
        }


class Soak:
    """A validator on its database (of which it has the tables), and the chain it uses."""

    def __init__(self, config: Any, seed: int) -> None:
        """`config` is that of the validator, with a hotkey, for `NETUID`."""
        self._config = config
        self._rng = random.Random(seed)
        us = config.hotkey.ss58_address
        self.chain = UnreliableChain(
            self._rng, [_neuron(0, us, permit=True), _neuron(1, "first"), _neuron(2, "second")]
        )
        self.kills = 0
        self._actions: Any = import_module("validator.weights.actions")
        self._rules: Any = import_module("validator.weights.rules")
        self._rows: Any = import_module("validator.weights.models")
        self._scores: Any = import_module("validator.scores.models")
        self._snapshots: Any = import_module("validator.network.models").Snapshot.objects

    def run(self, cycles: int, note: Callable[[int], None] = lambda _: None) -> Outcome:
        """Run so many cycles; `note` is called after each with its number."""
        length = FIRST.stop - FIRST.start
        for number in range(cycles):
            start = FIRST.start + number * length
            self._run_cycle(Cycle(start, start + length, FIRST.number + number))
            note(number + 1)
        rows = self._rows.WeightsSet.objects.order_by()
        blocks = Counter((block - FIRST.start) // length for block, _ in self.chain.included)
        submissions = self._rows.Submission.objects.order_by().values_list("state", flat=True)
        return Outcome(
            cycles,
            dict(Counter(rows.values_list("state", "landing"))),
            dict(Counter(blocks[number] for number in range(cycles))),
            self.kills,
            dict(Counter(submissions)),
        )

    def _run_cycle(self, cycle: Cycle) -> None:
        self._earn(cycle)
        window = self._rules.window(cycle)
        self.chain.advance(window.start)
        while self.chain.block < window.stop:
            self._tick()
            row = self._rows.WeightsSet.objects.filter(cycle_start=cycle.start).first()
            if row and row.state == "published" and row.landing != "open":
                break
            self.chain.advance(self.chain.block + 1)
        self.chain.advance(cycle.stop - 1)

    def _earn(self, cycle: Cycle) -> None:
        """Store scores of the cycle before: what weights are computed from."""
        paid = cycle.start - (cycle.stop - cycle.start)
        scored = self._scores.ScoredCycle.objects.create(cycle_start=paid, cycle_stop=cycle.start)
        self._scores.Score.objects.bulk_create(
            self._scores.Score(
                cycle=scored, hotkey=hotkey, uid=uid, share="0.5", u16=self._rng.randint(1, 65535)
            )
            for uid, hotkey in ((1, "first"), (2, "second"))
        )

    def _tick(self) -> None:
        """One run of the periodic task, which may be killed in it."""
        now = import_module("django.utils.timezone").now()
        seen = {"block": self.chain.block, "tempo": TEMPO, "neurons": 3, "taken_at": now}
        self._snapshots.update_or_create(pk=1, defaults=seen)
        try:
            with self._deadly_statements():
                self._actions.set_weights_if_due(self.chain.opened, self._config)
        except Killed:
            self.kills += 1

    @contextmanager
    def _deadly_statements(self) -> Iterator[None]:
        """The validator is killed before and after some of the statements that it executes."""

        def execute(run: Callable[..., Any], *arguments: Any) -> Any:
            self._risk()
            result = run(*arguments)
            self._risk()
            return result

        with import_module("django.db").connection.execute_wrapper(execute):
            yield

    def _risk(self) -> None:
        if self._rng.random() < KILLED_STATEMENTS:
            raise Killed


def _neuron(uid: int, hotkey: str, *, permit: bool = False) -> Neuron:
    return Neuron(
        uid=uid,
        hotkey=hotkey,
        coldkey=f"cold-{hotkey}",
        total_stake_rao=10**9,
        validator_permit=permit,
        ip="127.0.0.1",
        port=8000 + uid,
        last_update=0,
    )
