"""The metrics of the transfer."""

from datetime import timedelta

import pytest
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest

from validator.network.models import Neuron
from validator.receipts.metrics import TransferMetrics
from validator.receipts.models import TransferCount, TransferStatus

pytestmark = pytest.mark.django_db


def samples() -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(TransferMetrics())
    lines = generate_latest(registry).decode().splitlines()
    values = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in values}


def test_without_a_transfer_all_is_zero() -> None:
    assert samples() == {
        "receipttransfer_receipts_total": 0,
        "receipttransfer_successful_transfers_total": 0,
        "receipttransfer_transfer_duration_count": 0,
        "receipttransfer_transfer_duration_sum": 0,
        "receipttransfer_miners": 0,
        "receipttransfer_catchup_pages_left": 0,
    }


def test_the_counters_of_all_miners_are_there() -> None:
    for miner in ("", "a"):
        for name, reason, count in (
            ("new_receipts", "", 5),
            ("receipts", "", 6),
            ("transfers", "", 7),
            ("microseconds", "", 3_500_000),
            ("line_errors", "not_json", 8),
            ("transfer_errors", "timed_out", 9),
            ("miners", "", 10),
            ("catch_up_pages_left", "", 11),
        ):
            TransferCount.objects.create(
                miner_hotkey=miner,
                name=name,
                reason=reason,
                count=count,
                changed_at=timezone.now(),
            )
    assert samples() == {
        "receipttransfer_receipts_total": 5,
        "receipttransfer_successful_transfers_total": 7,
        'receipttransfer_line_errors_total{exc_type="not_json"}': 8,
        'receipttransfer_transfer_errors_total{exc_type="timed_out"}': 9,
        "receipttransfer_transfer_duration_count": 7,
        "receipttransfer_transfer_duration_sum": 3.5,
        "receipttransfer_miners": 10,
        "receipttransfer_catchup_pages_left": 11,
    }


def test_the_age_of_the_pages_of_registered_miners_is_there() -> None:
    now = timezone.now()
    for uid, (hotkey, registered, fetched_at) in enumerate(
        [("a", True, now - timedelta(hours=1)), ("gone", False, now), ("silent", True, None)]
    ):
        Neuron.objects.create(hotkey=hotkey, uid=uid, registered=registered, seen_at=now)
        TransferStatus.objects.create(miner_hotkey=hotkey, fetched_at=fetched_at, changed_at=now)
    ages = {name: value for name, value in samples().items() if "_age_" in name}
    assert list(ages) == ['receipttransfer_page_age_seconds{miner="a"}']
    assert 3600 <= ages['receipttransfer_page_age_seconds{miner="a"}'] < 4200
