"""Reads receipts: those this validator issued, and the verified ones of all validators, as one."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from pydantic import TypeAdapter

from compute_horde.receipts import AnyPayload, ReceiptPayload
from compute_horde.vocabulary import ReceiptType
from validator.receipts.busy import KnownReceipt
from validator.receipts.models import EARNING, IssuedReceipt, Receipt

# Receipts of this validator for jobs that began earlier are not looked for.
LONGEST_JOB = timedelta(days=2)
# The longest `ttl` of a started receipt that this validator issues.
LONGEST_RESERVATION = timedelta(minutes=5)
# Of the receipts that miners published, so many are loaded at once, the newest ones.
MAX_FETCHED = 10_000

_COLUMNS = (
    *("job_uuid", "receipt_type", "miner_hotkey", "validator_hotkey", "timestamp", "interval"),
    *("valid_until", "executor_class", "is_organic", "score"),
)
_payloads: TypeAdapter[AnyPayload] = TypeAdapter(ReceiptPayload)


def receipts_valid_at(
    miner: str,
    moment: datetime,
    validator: str,
    *,
    trusted: Collection[str] | None = None,
    executor_class: str | None = None,
) -> list[KnownReceipt]:
    """The receipts that hold executors of a miner at `moment`, and others of the same jobs.

    `validator` is the hotkey of this validator. A receipt that was both issued here and published
    by the miner is there once. Of more than `MAX_FETCHED` published ones, the newest are there.

    With `trusted` or `executor_class`, only organic jobs: those whose started receipt says so, and
    is of this class and of this validator or one of the trusted hotkeys.
    """
    fetched = Receipt.objects.filter(miner_hotkey=miner)
    if trusted is not None:
        fetched = fetched.filter(validator_hotkey__in={validator, *trusted})
    issued = IssuedReceipt.objects.filter(miner_hotkey=miner)
    valid = fetched.filter(timestamp__lte=moment, valid_until__gte=moment)
    is_limited = trusted is not None or executor_class is not None
    if is_limited:
        valid = valid.filter(Exists(_organic(executor_class)))
    jobs = {
        *_newest(valid).values_list("job_uuid", flat=True),
        *_may_be_held(issued, moment),
    }
    found = _merged(
        _issued(issued.filter(job_uuid__in=jobs), validator),
        _fetched(_newest(fetched.filter(job_uuid__in=jobs))),
    )
    held = {one.job for one in found if one.holds_at(moment)}
    if is_limited:
        held &= {one.job for one in found if _is_organic(one, executor_class)}
    return [one for one in found if one.job in held]


def receipts_earned(
    since: datetime, until: datetime, validator: str, miner: str | None = None
) -> list[KnownReceipt]:
    """Finished and interval receipts dated in [since, until), of one miner or of all.

    Each is there once, also when it was both issued here and published by the miner.
    """
    issued = IssuedReceipt.objects.filter(
        issued_at__gte=since, issued_at__lt=until, receipt_type__in=EARNING
    )
    fetched = Receipt.objects.filter(
        timestamp__gte=since, timestamp__lt=until, receipt_type__in=EARNING
    )
    if miner is not None:
        issued, fetched = issued.filter(miner_hotkey=miner), fetched.filter(miner_hotkey=miner)
    return _merged(_issued(issued, validator), _fetched(fetched.order_by()))


def _newest(rows: QuerySet[Receipt]) -> QuerySet[Receipt]:
    return rows.order_by("-timestamp")[:MAX_FETCHED]


def _organic(executor_class: str | None) -> QuerySet[Receipt]:
    """The started receipt of the same job and signers, if it is organic and of this class."""
    signers = ("job_uuid", "miner_hotkey", "validator_hotkey")
    started = Receipt.objects.filter(
        **{name: OuterRef(name) for name in signers},
        receipt_type=ReceiptType.STARTED,
        is_organic=True,
    )
    return started if executor_class is None else started.filter(executor_class=executor_class)


def _is_organic(receipt: KnownReceipt, executor_class: str | None) -> bool:
    """Whether it is a started receipt of an organic job of this class, or of any class."""
    return receipt.is_organic is True and executor_class in (None, receipt.executor_class)


def _may_be_held(issued: QuerySet[IssuedReceipt], moment: datetime) -> Iterable[UUID]:
    """The jobs of which a receipt issued to a miner may hold an executor at `moment`."""
    until_then = issued.filter(issued_at__lte=moment)
    finished = until_then.filter(job_uuid=OuterRef("job_uuid"), receipt_type=ReceiptType.FINISHED)
    started = Q(receipt_type=ReceiptType.STARTED, issued_at__gte=moment - LONGEST_RESERVATION)
    accepted = Q(receipt_type=ReceiptType.ACCEPTED, issued_at__gte=moment - LONGEST_JOB)
    held = until_then.filter(started | accepted).filter(~Exists(finished))
    return held.order_by().values_list("job_uuid", flat=True)


def _issued(rows: QuerySet[IssuedReceipt], validator: str) -> Iterable[KnownReceipt]:
    for row in rows.order_by():
        payload = _payloads.validate_json(row.payload)
        ttl: int | None = getattr(payload, "ttl", None)
        yield KnownReceipt(
            job_uuid=payload.job_uuid,
            receipt_type=ReceiptType(payload.receipt_type),
            miner=payload.miner_hotkey,
            validator=validator,
            timestamp=payload.timestamp,
            interval=row.interval,
            valid_until=None if ttl is None else payload.timestamp + timedelta(seconds=ttl),
            executor_class=str(getattr(payload, "executor_class", "")),
            is_organic=getattr(payload, "is_organic", None),
            score=row.score,
        )


def _fetched(rows: QuerySet[Receipt]) -> Iterable[KnownReceipt]:
    for uuid, receipt_type, *others in rows.values_list(*_COLUMNS):
        yield KnownReceipt(str(uuid), ReceiptType(receipt_type), *others)


def _merged(*sources: Iterable[KnownReceipt]) -> list[KnownReceipt]:
    """Receipts of all sources; of those with the same key, the first."""
    merged: dict[object, KnownReceipt] = {}
    for source in sources:
        for receipt in source:
            merged.setdefault(receipt.key, receipt)
    return list(merged.values())
