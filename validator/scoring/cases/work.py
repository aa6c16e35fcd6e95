"""Cases about work: allowance and how it is spent, excuses, reliability."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from validator.scoring.allowance import ChainBlock, accrued
from validator.scoring.cases.form import MAX_COUNT, Block, CaseForm, Hotkey, Scores
from validator.scoring.exact import NotNegative, Number
from validator.scoring.excuses import BusyReceipt, DeclinedJob, ExcuseRule, valid_excuses
from validator.scoring.reliability import first_pick_probabilities, selection_weight
from validator.scoring.spending import (
    PICOSECONDS,
    Account,
    Judgement,
    Spend,
    SpendingRule,
    picoseconds,
)

SECONDS_PER_BLOCK = 12


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CaseBlock(_Part):
    """A block and the stake of each validator in it; times in seconds."""

    block: Block
    starts_at: Number
    ends_at: Number
    stakes: Scores


class AllowanceCase(CaseForm):
    """What a validator may spend at miners whose executors stay the same."""

    validator: Hotkey
    blocks: tuple[CaseBlock, ...]
    executors: dict[Hotkey, Annotated[int, Field(ge=0, le=MAX_COUNT)]]

    def outputs(self) -> dict[str, Any]:
        """The seconds by miner."""
        blocks = [
            ChainBlock(one.block, one.ends_at - one.starts_at, one.stakes) for one in self.blocks
        ]
        return {"expected": accrued(blocks, self.executors, validator=self.validator)}


class CaseAllowance(_Part):
    """What a block gives."""

    block: Block
    seconds: NotNegative
    invalidated_at_block: Block | None


class CaseSpend(_Part):
    """A job that starts `offset_seconds` after the start of a block."""

    cost: NotNegative
    offered: tuple[Block, ...]
    started_at_block: Block
    offset_seconds: NotNegative = Fraction(0)


@dataclass(frozen=True, slots=True)
class ListedAllowances:
    """Allowances that a case lists, as `spending.Account` asks for them."""

    of_block: Mapping[int, CaseAllowance]

    def amount(self, block: int) -> int | None:
        """The picoseconds that a block gives."""
        return picoseconds(self.of_block[block].seconds) if block in self.of_block else None

    def invalidated_at(self, block: int) -> int | None:
        """The block from which on the allowance is void."""
        return self.of_block[block].invalidated_at_block if block in self.of_block else None


class SpendingCase(CaseForm):
    """Spends of one validator at one miner and class, judged in order.

    Cases name an expiry and leeways of their own, but the published results do not depend on them:
    they were made with the network's 722, 15 and 0 blocks, and so is this.
    """

    last_block: Block
    allowances: tuple[CaseAllowance, ...]
    spends: tuple[CaseSpend, ...]

    def outputs(self) -> dict[str, Any]:
        """A judgement for each spend."""
        of_block = {one.block: one for one in self.allowances}
        account = Account(ListedAllowances(of_block), SpendingRule())
        return {"expected": [_judged(account.judge(self._spend(one))) for one in self.spends]}

    def _spend(self, one: CaseSpend) -> Spend:
        later = floor(one.offset_seconds / SECONDS_PER_BLOCK)
        started_at = one.started_at_block
        if later:
            started_at = min(started_at + later, max(self.last_block, started_at))
        return Spend(picoseconds(one.cost), started_at, one.offered)


def _judged(judgement: Judgement) -> dict[str, Any]:
    return {
        "result": "paid" if judgement.paid else "refused",
        "spendable": Fraction(judgement.spendable, PICOSECONDS),
        "spent": list(judgement.spent),
        "outside_range": list(judgement.outside_range),
        "double_spent": list(judgement.double_spent),
        "invalidated": list(judgement.invalidated),
    }


class CaseReceipt(_Part):
    """A receipt that a miner shows when it declines a job."""

    kind: str
    job: str
    miner: str
    validator: str
    is_organic: bool | None
    executor_class: str | None
    seconds_before_decline: Number
    ttl: NotNegative | None
    validator_signature_good: bool


class CaseDecline(_Part):
    """The job that was declined."""

    job: str
    executor_class: str
    is_synthetic: bool
    miner: str


class ExcusesCase(CaseForm):
    """Receipts that a miner shows as an excuse."""

    receipts: tuple[CaseReceipt, ...]
    validator_stakes: Scores
    our_hotkey: str
    minimum_stake: NotNegative
    declined: CaseDecline

    def outputs(self) -> dict[str, Any]:
        """The jobs whose receipts count, in the order of the receipts."""
        declined = DeclinedJob(
            self.declined.job,
            self.declined.miner,
            self.declined.executor_class,
            self.declined.is_synthetic,
        )
        rule = ExcuseRule(self.our_hotkey, self.minimum_stake, self.validator_stakes)
        valid = valid_excuses([_busy_receipt(one) for one in self.receipts], declined, rule)
        return {"valid_jobs": [receipt.job for receipt in valid]}


def _busy_receipt(one: CaseReceipt) -> BusyReceipt:
    return BusyReceipt(
        kind=one.kind,
        job=one.job,
        miner=one.miner,
        validator=one.validator,
        age=one.seconds_before_decline,
        ttl=one.ttl or Fraction(0),
        executor_class=one.executor_class,
        is_organic=one.is_organic,
        validator_signature_good=one.validator_signature_good,
    )


class ReliabilityCase(CaseForm):
    """The reliability of miners that compete for a job."""

    reliabilities: tuple[Number, ...]
    center: Number
    steepness: Number

    def outputs(self) -> dict[str, Any]:
        """The weight of each miner, and how likely it is to be drawn first."""
        weights = [
            selection_weight(one, center=self.center, separation=self.steepness)
            for one in self.reliabilities
        ]
        return {"weights": weights, "first_pick": first_pick_probabilities(weights)}
