"""Whether a miner that declined a synthetic job as busy was excused by work for others."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from compute_horde.hardware import ExecutorClass


@dataclass(frozen=True, slots=True)
class Excuse:
    """Whether receipts excuse a busy miner, and what they show."""

    excused: bool
    reason: str


class ExcuseJudge(Protocol):
    """Decides about busy declines; called in a database thread when the batch has ended."""

    def judge(self, hotkey: str, executor_class: ExecutorClass, at: datetime) -> Excuse:
        """Whether the miner's executors of this class were busy with users' jobs at a moment."""


class NoReceipts:
    """The judge of a validator that reads no receipts of others: nobody is excused."""

    def judge(self, hotkey: str, executor_class: ExecutorClass, at: datetime) -> Excuse:
        """Not excused."""
        del hotkey, executor_class, at
        return Excuse(excused=False, reason="no receipts of other validators are known")
