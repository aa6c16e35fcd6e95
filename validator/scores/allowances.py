"""What the formula `allowance` reads: blocks with stakes, manifests, and receipts with blocks."""

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from django.db import connection

from compute_horde.adapters.chain_port import RAO_PER_TAO
from compute_horde.cycles import Cycle
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import ReceiptType
from validator.config import Config
from validator.network.history import between
from validator.network.models import Snapshot
from validator.network.network_state import MANIFEST, History
from validator.network.rules import BLOCK_SECONDS, CYCLE_BLOCKS
from validator.scoring.allowance import USUAL_BLOCK
from validator.scoring.facts import BlockFact, ManifestFact, PaidReceipt
from validator.scoring.parameters import AllowanceParameters

# Costs have six decimals; larger ones cannot be paid by any allowance.
MAX_COST = Decimal(10**9)
# Of this validator: as issued, whether or not the miner has published them.
_ISSUED = """
SELECT f.job_uuid::text, f.miner_hotkey, %(validator)s, s.payload::jsonb ->> 'executor_class',
    f.issued_at, s.issued_at, f.score, f.payload::jsonb ->> 'block_numbers'
FROM receipts_issuedreceipt f JOIN receipts_issuedreceipt s
    ON s.job_uuid = f.job_uuid AND s.miner_hotkey = f.miner_hotkey
WHERE f.receipt_type = %(finished)s AND s.receipt_type = %(started)s
    AND s.payload::jsonb ->> 'is_organic' = 'true'
    AND f.issued_at >= %(since)s AND f.issued_at < %(until)s AND f.score > 0
"""
_FETCHED = """
SELECT f.job_uuid::text, f.miner_hotkey, f.validator_hotkey, s.executor_class,
    f.timestamp, s.timestamp, f.score, f.payload::jsonb ->> 'block_numbers'
FROM receipts_receipt f JOIN receipts_receipt s
    ON s.job_uuid = f.job_uuid AND s.miner_hotkey = f.miner_hotkey
    AND s.validator_hotkey = f.validator_hotkey
WHERE f.receipt_type = %(finished)s AND s.receipt_type = %(started)s AND s.is_organic
    AND f.timestamp >= %(since)s AND f.timestamp < %(until)s AND f.score > 0
    AND f.validator_hotkey <> %(validator)s
"""
# Rows that the database sends at once.
ROWS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class AllowanceRule:
    """Whose blocks and executors count, as this validator's settings say.

    `validator` is its hotkey. Validators with a permit and `minimum_stake_rao` get allowance. Of a
    miner's executors at most `caps[class]` count, and `cap` of a class that is not listed.
    """

    validator: str = ""
    minimum_stake_rao: int = 0
    cap: int = 10**6
    caps: Mapping[ExecutorClass, int] = field(default_factory=dict)

    @classmethod
    def configured(cls, config: Config) -> "AllowanceRule":
        """The rule of this validator."""
        return cls(
            config.hotkey.ss58_address,
            config.receipt_min_stake * RAO_PER_TAO,
            config.most_executors_per_class,
            config.executor_caps,
        )


@dataclass(frozen=True, slots=True)
class AllowanceFacts:
    """The facts of one cycle for the formula `allowance`."""

    blocks: tuple[BlockFact, ...] = ()
    manifests: tuple[ManifestFact, ...] = ()
    receipts: tuple[PaidReceipt, ...] = ()


def allowance_facts(
    cycle: Cycle, worth: AllowanceParameters, rule: AllowanceRule
) -> AllowanceFacts:
    """Everything that the receipts of a cycle are judged by, as far as it is known here.

    Receipts of the time before, in which they could use up blocks that are offered again, are there
    as earlier ones. What these may have paid with goes back as far once more.
    """
    reach = worth.block_expiry + worth.leeway_lower
    history = between(cycle.start - 2 * reach, cycle.stop)
    timeline = BlockTimes.read(history.first, cycle.stop)
    began = timeline.time(cycle.start)
    if began is None:
        return AllowanceFacts()
    since = timeline.time_before(cycle.start - reach) or began
    receipts = _receipts(rule.validator, since, timeline.time(cycle.stop))
    return AllowanceFacts(
        tuple(blocks(history, rule)),
        tuple(manifests(history, rule)),
        tuple(paid for row in receipts for paid in _paid(row, timeline, began, worth)),
    )


def blocks(history: History, rule: AllowanceRule) -> Iterator[BlockFact]:
    """Each block with the stakes, in rao, of the validators that get allowance in it.

    Its length is the usual one: the time between two blocks is not logged, and what differs from it
    by much counts as usual anyway.
    """
    for start, stop in pairwise([*history.change_blocks(), history.stop]):
        stakes = {
            one.hotkey: Fraction(one.stake_rao)
            for one in history.at(start).neurons.values()
            if one.validator_permit and one.stake_rao >= max(rule.minimum_stake_rao, 1)
        }
        for number in range(start, stop):
            yield BlockFact(number, USUAL_BLOCK, stakes)


def manifests(history: History, rule: AllowanceRule) -> Iterator[ManifestFact]:
    """From which block on each miner offered how many executors; those that count."""
    followed = {
        (one.subject, one.item, one.from_block) for one in history.facts if one.kind == MANIFEST
    }
    for one in history.facts:
        if one.kind != MANIFEST or not (kind := ExecutorClass.known(one.item)):
            continue
        cap = rule.caps.get(kind, rule.cap)
        yield ManifestFact(one.subject, kind, one.from_block, min(one.value, cap))
        ended = one.until_block
        if ended and ended < history.stop and (one.subject, one.item, ended) not in followed:
            yield ManifestFact(one.subject, kind, ended, 0)


@dataclass(frozen=True, slots=True)
class BlockTimes:
    """When blocks came, by the reads of the chain; in between, a block takes 12 seconds."""

    numbers: list[int]
    moments: list[datetime]

    @classmethod
    def read(cls, first: int, stop: int) -> "BlockTimes":
        """The reads of blocks from `first` up to a cycle after `stop`."""
        rows = Snapshot.objects.filter(block__gte=first, block__lt=stop + CYCLE_BLOCKS)
        known: dict[int, datetime] = {}
        for number, moment in rows.order_by("block", "id").values_list("block", "taken_at"):
            known.setdefault(number, moment)
        return cls(list(known), list(known.values()))

    def time(self, block: int) -> datetime | None:
        """When the chain was first seen at or after a block; None when it was not."""
        place = bisect_right(self.numbers, block - 1)
        return self.moments[place] if place < len(self.moments) else None

    def time_before(self, block: int) -> datetime | None:
        """When the chain was last seen at or before a block; None when it was not."""
        place = bisect_right(self.numbers, block)
        return self.moments[place - 1] if place else None

    def block(self, moment: datetime) -> int:
        """The block of a moment, at most that of the next read; 0 before the first one."""
        place = bisect_right(self.moments, moment)
        if not place:
            return 0
        passed = (moment - self.moments[place - 1]).total_seconds()
        block = self.numbers[place - 1] + int(passed // BLOCK_SECONDS)
        return min(block, self.numbers[place]) if place < len(self.numbers) else block


def _receipts(validator: str, since: datetime, until: datetime | None) -> Iterator[Any]:
    values: dict[str, str | datetime] = {
        "validator": validator,
        "finished": ReceiptType.FINISHED,
        "started": ReceiptType.STARTED,
        "since": since,
        "until": until or datetime.max.replace(tzinfo=since.tzinfo),
    }
    for statement in (_ISSUED, _FETCHED):
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield from rows


def _paid(
    row: Any, timeline: BlockTimes, since: datetime, worth: AllowanceParameters
) -> Iterator[PaidReceipt]:
    """The receipt, with those of its blocks that may pay for it by their age; none if unknown."""
    uuid, miner, validator, name, at, started_at, score, offered = row
    kind, started = ExecutorClass.known(name), timeline.block(started_at)
    oldest = started - worth.block_expiry - worth.leeway_lower
    if kind:
        yield PaidReceipt(
            uuid,
            validator,
            miner,
            kind,
            at=Fraction(int(at.timestamp() * 1000), 1000),
            started_block=started,
            cost=Fraction(min(score, MAX_COST)),
            blocks=tuple(
                number
                for number in dict.fromkeys(json.loads(offered or "[]"))
                if oldest <= number <= started + worth.leeway_upper
            ),
            is_earlier=at < since,
        )
