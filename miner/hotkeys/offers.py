"""What each hotkey of this miner offers to validators."""

from collections.abc import Sequence

from compute_horde.errors import RejectionError
from compute_horde.faults import CAUSE
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import RejectionReason
from miner.earnings.actions import MinimumPrices
from miner.earnings.rules import BELOW_MINIMUM_PRICE, NOT_OFFERED
from miner.executors.pool import ExecutorPool
from miner.hotkeys import rules
from miner.hotkeys.actions import PresentMainHotkey
from miner.hotkeys.rules import Division


class Offers:
    """The manifest of each hotkey; all hotkeys share the executors of one pool.

    Each may have as many executors busy at once as it offers, so that its own receipts prove that
    it is busy.
    """

    def __init__(
        self,
        pool: ExecutorPool,
        hotkeys: Sequence[str],
        main: PresentMainHotkey,
        division: Division,
        minimum_prices: MinimumPrices,
    ) -> None:
        self._pool, self._hotkeys = pool, tuple(hotkeys)
        self._main, self._division = main, division
        self._minimum_prices = minimum_prices

    def manifest(self, hotkey: str) -> dict[ExecutorClass, int]:
        """How many executors of each class a hotkey offers now: none of those that lose money."""
        losses = self._minimum_prices.losses
        return rules.part(
            {kind: count for kind, count in self._pool.manifest.items() if kind not in losses},
            hotkey,
            hotkeys=self._hotkeys,
            main=self._main.hotkey,
            division=self._division,
        )

    def check(self, executor_class: ExecutorClass, hotkey: str) -> None:
        """Raise `RejectionError` unless the hotkey offers executors of a class."""
        if self.manifest(hotkey).get(executor_class):
            return
        cause, text = NOT_OFFERED, f"this miner has no executors of {executor_class}"
        if loss := self._minimum_prices.losses.get(executor_class):
            cause, text = BELOW_MINIMUM_PRICE, loss
        elif self._pool.manifest.get(executor_class):
            text = f"this hotkey offers no executors of {executor_class} now, others of it do"
        raise RejectionError(RejectionReason.UNKNOWN, text, context={CAUSE: cause})
