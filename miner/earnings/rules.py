"""Rules: what an executor-hour of a class earns, and when that is too little."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import RejectionReason

# Less measured work than this says nothing about what a class earns.
LEAST_HOURS = Decimal(1)
# Nor does work in fewer cycles: validators may set weights late in one.
LEAST_CYCLES = 3
BELOW_MINIMUM_PRICE = "below_minimum_price"
NOT_OFFERED = "not_offered"

NEXT_STEPS = {
    str(RejectionReason.BUSY): "offer fewer executors or add some; with receipts it is excused",
    str(RejectionReason.INVALID_SIGNATURE): "nothing: whoever asked could not prove who it is",
    str(RejectionReason.INVALID_RECEIPT): "compare the clocks; if it repeats, tell the validator",
    str(RejectionReason.VALIDATOR_BLACKLISTED): "take it off the blacklist in the admin",
    BELOW_MINIMUM_PRICE: "lower MINER_COSTS, or wait until the class earns more",
    NOT_OFFERED: "nothing: the hotkey does not offer this class now",
}
OTHERWISE = "see the log for the message that was sent"


@dataclass(frozen=True, slots=True)
class PaidWork:
    """The work of one cycle and what was paid for it, two cycles later.

    `alpha` was paid in all, `shares` of it for each class, for `hours` of executors' work.
    """

    alpha: Decimal
    shares: Mapping[ExecutorClass, Decimal]
    hours: Mapping[ExecutorClass, Decimal]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of all classes in the cycles whose pay is known."""

    cycles: Sequence[PaidWork] = ()

    def hours(self, executor_class: ExecutorClass) -> Decimal:
        """How many hours executors of the class worked in those cycles."""
        return sum((one.hours.get(executor_class, Decimal(0)) for one in self.cycles), Decimal(0))

    def price(self, executor_class: ExecutorClass) -> Decimal | None:
        """What an executor-hour of the class earned, or None if too little is known."""
        hours = self.hours(executor_class)
        worked = [one for one in self.cycles if one.hours.get(executor_class)]
        # Without any pay it is not yet known what the work is paid.
        is_paid = any(one.alpha and one.shares for one in self.cycles)
        if hours < LEAST_HOURS or len(worked) < LEAST_CYCLES or not is_paid:
            return None
        earned = (one.alpha * one.shares.get(executor_class, Decimal(0)) for one in self.cycles)
        return sum(earned, Decimal(0)) / hours


def class_shares(
    documents: Iterable[tuple[Decimal, Mapping[str, Any]]],
) -> dict[ExecutorClass, Decimal]:
    """The part of the pay that each class brought, by validators' explanations of scores.

    Each explanation counts by the stake of its validator. Empty where no class brought anything.
    """
    totals: dict[ExecutorClass, Decimal] = {}
    for stake, document in documents:
        for item in document["items"]:
            if kind := ExecutorClass.known(item.get("executor_class") or ""):
                totals[kind] = totals.get(kind, Decimal(0)) + stake * Decimal(str(item["amount"]))
    earned = {kind: amount for kind, amount in totals.items() if amount > 0}
    total = sum(earned.values(), Decimal(0))
    return {kind: amount / total for kind, amount in earned.items()}


def is_loss(cost: Decimal, earned: Decimal | None) -> bool:
    """Whether a job would lose money; what is not known loses none."""
    return earned is not None and earned < cost


def loss_text(executor_class: str, cost: Decimal, earned: Decimal) -> str:
    """What a validator is told whose job is declined because it would lose money."""
    return (
        f"minimum price: a job of {executor_class} would lose money here, where an executor-hour "
        f"costs {_plain(cost)} alpha and earns {_plain(earned)}"
    )


def next_step(cause: str) -> str:
    """What to do about offers that were declined for this cause."""
    return NEXT_STEPS.get(cause, OTHERWISE)


def _plain(number: Decimal) -> str:
    text = f"{number:.9f}".rstrip("0").rstrip(".")
    return text or "0"
