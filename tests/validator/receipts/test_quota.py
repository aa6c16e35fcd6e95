"""How many receipts of a miner are stored."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.peers.keys import MINER
from tests.validator.receipts.published import expected, line, started
from validator.receipts import quota
from validator.receipts.quota import ReceiptQuota
from validator.receipts.verification import LineProblem, Verified, VerifiedReceipt, verify_line

NOW = datetime(2026, 1, 1, 5, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=2)
HOUR = int(NOW.timestamp()) // 3600


@pytest.fixture(autouse=True)
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "HOUR_RECEIPTS", 3)
    monkeypatch.setattr(quota, "KEPT_RECEIPTS", 5)


def dated(moment: datetime) -> VerifiedReceipt:
    receipt = line(started(timestamp=moment))
    return verify_line(receipt, expected(now=moment, not_before=moment))


ONE = dated(NOW)


def kept(
    it: ReceiptQuota,
    number: int,
    moment: datetime = NOW,
    *,
    miner: str = MINER.ss58_address,
    not_before: datetime = LONG_AGO,
) -> int:
    """How many of so many receipts dated `moment` are stored; the others have a reason."""
    verified = Verified([ONE._replace(timestamp=moment)] * number)
    it.limit(miner, verified, not_before)
    refused = number - len(verified.receipts)
    assert verified.problems[LineProblem.TOO_MANY] == verified.problems.total() == refused
    return len(verified.receipts)


def test_receipts_of_an_hour_are_limited() -> None:
    it = ReceiptQuota()
    assert kept(it, 2) == 2
    assert kept(it, 2, NOW + timedelta(minutes=59)) == 1
    assert kept(it, 1) == 0
    assert kept(it, 1, NOW + timedelta(hours=1)) == 1


def test_all_receipts_of_a_miner_are_limited_and_deleted_ones_do_not_count() -> None:
    it = ReceiptQuota()
    for hours, number in ((0, 3), (1, 2), (2, 0)):
        assert kept(it, 3, NOW + timedelta(hours=hours)) == number
    after_first = NOW + timedelta(hours=1)
    assert kept(it, 3, NOW + timedelta(hours=2), not_before=after_first) == 3


def test_miners_are_limited_apart() -> None:
    it = ReceiptQuota()
    assert kept(it, 9) == 3
    assert kept(it, 9, miner="other") == 3


def test_what_is_stored_already_counts() -> None:
    it = ReceiptQuota()
    it.load([(MINER.ss58_address, HOUR, 2), ("other", HOUR, 3)])
    assert kept(it, 2) == 1
