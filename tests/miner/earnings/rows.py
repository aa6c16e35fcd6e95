"""Cycles, jobs and receipts for tests of earnings."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from django.utils import timezone

from compute_horde import receipts, signing
from compute_horde.hardware import ExecutorClass
from compute_horde.receipts import JobFinishedReceipt, JobStartedReceipt
from compute_horde.vocabulary import JobState
from miner.earnings.models import CyclePay, ScoreDocument
from miner.hotkeys.models import CycleMainHotkey
from miner.jobs.models import Job
from miner.receipts import store
from tests.miner.conftest import MINER, VALIDATOR
from tests.miner.earnings.documents import explained

TEST = ExecutorClass.always_on__test


def cycle(number: int, hours_ago: float) -> CycleMainHotkey:
    row = CycleMainHotkey.objects.create(
        cycle_start=722 * number,
        cycle_stop=722 * (number + 1),
        number=number,
        hotkey=MINER.ss58_address,
        source=CycleMainHotkey.Source.SCHEDULE,
    )
    began_at = timezone.now() - timedelta(hours=hours_ago)
    CycleMainHotkey.objects.filter(pk=row.pk).update(began_at=began_at)
    row.began_at = began_at
    return row


def worked(
    at: datetime, *, seconds: int, is_organic: bool = True, claimed_seconds: int | None = None
) -> str:
    """A job that took `seconds` until this time, and its receipts; its UUID."""
    claimed = seconds if claimed_seconds is None else claimed_seconds
    uuid = str(uuid4())
    Job.objects.create(
        uuid=uuid,
        state=JobState.COMPLETED,
        executor_class=TEST,
        executor_token=uuid,
        miner_hotkey=MINER.ss58_address,
        validator_hotkey=VALIDATOR.ss58_address,
        state_since=at,
    )
    Job.objects.filter(pk=uuid).update(created_at=at - timedelta(seconds=seconds))
    shared = {
        "job_uuid": uuid,
        "miner_hotkey": MINER.ss58_address,
        "validator_hotkey": VALIDATOR.ss58_address,
        "timestamp": at,
    }
    started = JobStartedReceipt(**shared, executor_class=TEST, is_organic=is_organic, ttl=7)
    finished = JobFinishedReceipt(
        **shared, time_started=at, time_took_us=claimed * 10**6, score_str=f"{seconds}.5"
    )
    signed = (
        receipts.counter_sign(one, signing.signed_hex(VALIDATOR, one.blob()), MINER)
        for one in (started, finished)
    )
    store.store(list(signed))
    return uuid


def scored(cycle_start: int, *items: object) -> None:
    text = explained(VALIDATOR, MINER.ss58_address, *items, cycle_start=cycle_start)
    ScoreDocument.objects.create(
        validator_hotkey=VALIDATOR.ss58_address,
        miner_hotkey=MINER.ss58_address,
        cycle_start=cycle_start,
        cycle_stop=cycle_start + 722,
        document=document_of(text),
        signature="0x",
    )


def document_of(text: bytes) -> str:
    """The document in a validator's answer."""
    return str(json.loads(text)["document"])


def paid(cycle_start: int, alpha: Decimal) -> None:
    CyclePay.objects.create(
        cycle_start=cycle_start, hotkey=MINER.ss58_address, rao=int(alpha * 10**9)
    )
