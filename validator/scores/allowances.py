"""What the formula `allowance` reads: blocks with stakes, manifests, and receipts with blocks."""

import json
import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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

log = logging.getLogger(__name__)

# Costs have six decimals; larger ones cannot be paid by any allowance.
MAX_COST = Decimal(10**9)
# Of this validator: as issued, whether or not the miner has published them. A list of more blocks
# than can be young enough is not read.
_ISSUED = """
SELECT f.job_uuid::text, f.miner_hotkey, %(validator)s, s.payload::jsonb ->> 'executor_class',
    f.issued_at, s.issued_at, f.score,
    CASE WHEN jsonb_array_length(f.payload::jsonb -> 'block_numbers') <= %(most_blocks)s
        THEN f.payload::jsonb ->> 'block_numbers' END
FROM receipts_issuedreceipt f JOIN receipts_issuedreceipt s
    ON s.job_uuid = f.job_uuid AND s.miner_hotkey = f.miner_hotkey
WHERE f.receipt_type = %(finished)s AND s.receipt_type = %(started)s
    AND s.payload::jsonb ->> 'is_organic' = 'true'
    AND f.issued_at >= %(since)s AND f.issued_at < %(until)s AND f.score > 0
    AND f.issued_at >= s.issued_at
ORDER BY f.issued_at, f.job_uuid
"""
_FETCHED = """
SELECT f.job_uuid::text, f.miner_hotkey, f.validator_hotkey, s.executor_class,
    f.timestamp, s.timestamp, f.score,
    CASE WHEN jsonb_array_length(f.payload::jsonb -> 'block_numbers') <= %(most_blocks)s
        THEN f.payload::jsonb ->> 'block_numbers' END
FROM receipts_receipt f JOIN receipts_receipt s
    ON s.job_uuid = f.job_uuid AND s.miner_hotkey = f.miner_hotkey
    AND s.validator_hotkey = f.validator_hotkey
WHERE f.receipt_type = %(finished)s AND s.receipt_type = %(started)s AND s.is_organic
    AND f.timestamp >= %(since)s AND f.timestamp < %(until)s AND f.score > 0
    AND f.validator_hotkey <> %(validator)s AND f.timestamp >= s.timestamp
ORDER BY f.timestamp, f.job_uuid
"""
# Rows that the database sends at once.
ROWS_AT_ONCE = 500
# Of the receipts of one validator at one miner, roughly as they are stored: some thousand jobs,
# of which each block can pay one in each class.
MAX_RECEIPT_BYTES = 512 * 2**10
RECEIPT_BYTES = 200


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

    A job lasts at most the blocks that a block stays valid, or it is not paid. So it began at most
    that long before the cycle, and its blocks are at most twice as old: receipts from then on may
    have used them up, and are there as earlier ones. What these paid with goes back once more.
    """
    reach = worth.block_expiry + worth.leeway_lower
    oldest = cycle.start - 2 * reach - worth.leeway_upper
    history = between(oldest - reach, cycle.stop)
    timeline = BlockTimes.read(history.first, cycle.stop)
    began = timeline.time(cycle.start)
    if began is None:
        return AllowanceFacts()
    since = timeline.time_before(oldest) or timeline.moments[0]
    receipts = _receipts(rule.validator, since, timeline.time(cycle.stop), worth)
    return AllowanceFacts(
        tuple(blocks(history, rule)),
        tuple(manifests(history, rule)),
        tuple(_bounded(paid for row in receipts for paid in _paid(row, timeline, began, worth))),
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


def _receipts(
    validator: str, since: datetime, until: datetime | None, worth: AllowanceParameters
) -> Iterator[Any]:
    """The rows of all receipts of this time, those of each validator in the order of time."""
    values: dict[str, str | int | datetime] = {
        "validator": validator,
        "finished": ReceiptType.FINISHED,
        "started": ReceiptType.STARTED,
        "since": since,
        "until": until or datetime.max.replace(tzinfo=since.tzinfo),
        "most_blocks": worth.block_expiry + worth.leeway_lower + worth.leeway_upper + 1,
    }
    for statement in (_ISSUED, _FETCHED):
        # A cursor of the server: the result is not loaded as a whole.
        with connection.chunked_cursor() as cursor:
            cursor.execute(statement, values)
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield from rows


def _paid(
    row: Any, timeline: BlockTimes, since: datetime, worth: AllowanceParameters
) -> Iterator[PaidReceipt]:
    """The receipt, with those of its blocks that may pay for it by their age; none if unknown.

    A job that lasted longer than a block stays valid has none, and neither has one that offers more
    blocks than may pay.
    """
    uuid, miner, validator, name, at, started_at, score, offered = row
    kind, started = ExecutorClass.known(name), timeline.block(started_at)
    reach = worth.block_expiry + worth.leeway_lower
    is_too_long = timeline.block(at) - started > reach
    numbers = json.loads(offered) if offered and not is_too_long else []
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
                for number in dict.fromkeys(numbers)
                if started - reach <= number <= started + worth.leeway_upper
            ),
            is_earlier=at < since,
        )


def _bounded(receipts: Iterable[PaidReceipt]) -> Iterator[PaidReceipt]:
    """The receipts in their order; of one validator at one miner the first `MAX_RECEIPT_BYTES`.

    All later ones are left out, so that what is left out was not paid with blocks that a receipt
    after it could offer again.
    """
    used: Counter[tuple[str, str]] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    for one in receipts:
        place = (one.validator, one.hotkey)
        used[place] += RECEIPT_BYTES + sum(len(str(number)) + 1 for number in one.blocks)
        if used[place] <= MAX_RECEIPT_BYTES:
            yield one
        else:
            left_out[place] += 1
    for (validator, miner), count in left_out.items():
        log.warning(
            "receipts left out of the scores: one validator has too many at one miner",
            extra={"validator": validator, "miner": miner, "receipts": count},
        )
