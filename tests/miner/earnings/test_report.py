"""The report says what was earned and lost in a cycle, from whom and why."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from compute_horde.protocol.job import HordeFailed, JobAccepted
from compute_horde.vocabulary import HordeReason, JobState, Party
from miner.earnings import actions
from miner.earnings.declines import DeclinedOffer, store
from miner.earnings.report import EarningsReport, report
from miner.jobs.models import Job
from tests.miner.conftest import MINER, PARTIES, VALIDATOR
from tests.miner.earnings.documents import item
from tests.miner.earnings.rows import TEST, cycle, paid, scored, worked

pytestmark = pytest.mark.django_db

HOTKEY, ISSUER = MINER.ss58_address, VALIDATOR.ss58_address

DECLINED_BUSY = "offer fewer executors or add some; with receipts it is excused"
DECLINED_BY_PRICE = "lower MINER_COSTS, or wait until the class earns more"


def table(one: EarningsReport, title: str) -> list[tuple[str, ...]]:
    return next(table.rows for table in one.tables if table.title == title)


def failed_job() -> None:
    uuid = str(uuid4())
    Job.objects.create(
        uuid=uuid,
        state=JobState.RECEIVED,
        executor_class=TEST,
        executor_token=uuid,
        miner_hotkey=HOTKEY,
        validator_hotkey=ISSUER,
    )
    lost = HordeFailed(
        job_uuid=uuid,
        reported_by=Party.MINER,
        reason=HordeReason.EXECUTOR_DISCONNECTED,
        message="gone",
    )
    Job.apply_after(JobState.RECEIVED, JobAccepted(job_uuid=uuid), lost, error_type=lost.reason)


def test_each_table_is_of_the_chosen_cycle() -> None:
    old, present = cycle(1, hours_ago=3), cycle(2, hours_ago=0.5)
    worked(old.began_at + timedelta(hours=1), seconds=7200)
    worked(present.began_at + timedelta(minutes=1), seconds=60, is_organic=False)
    paid(722, Decimal("1.5"))
    scored(722, item("always_on.test", "0.5"), item("", "0", "refused without\x1b excuse"))
    failed_job()
    for cause in ("busy", "below_minimum_price"):
        store(Counter({DeclinedOffer(PARTIES, TEST, cause, with_excuses=cause == "busy"): 2}))
    actions.update_prices({TEST: Decimal(2)}, {TEST: Decimal(1)})

    first = report(old)
    assert first.title == "cycle of blocks 722 to 1443"
    assert [row[:2] for row in table(first, "paid")] == [(HOTKEY, "1.5")]
    assert table(first, "work") == [
        (ISSUER, HOTKEY, "always_on.test", "organic", "1", "7200.0", "7200.500")
    ]
    assert table(first, "scores") == [
        (ISSUER, HOTKEY, "always_on.test", "0.5", "completed synthetic jobs: 3 jobs", ""),
        (ISSUER, HOTKEY, "", "0", "refused without\x1b excuse: 3 jobs", "offer more"),
    ]
    assert table(first, "declined") == table(first, "failed") == []

    assert "refused without? excuse: 3 jobs" in first.as_text()

    second = report(present)
    assert [row[3:6] for row in table(second, "work")] == [("synthetic", "1", "60.0")]
    assert table(second, "declined") == [
        (ISSUER, HOTKEY, TEST, "2", "below_minimum_price", DECLINED_BY_PRICE),
        (ISSUER, HOTKEY, TEST, "2", "busy, with receipts as excuses", DECLINED_BUSY),
    ]
    ((*_, count, why, next_step),) = table(second, "failed")
    assert (count, why) == ("1", "horde_failed: executor_disconnected, fault of miner")
    assert next_step
    assert [row[-1] for row in table(second, "prices now")] == ["refused"]


def test_an_item_may_leave_out_its_class() -> None:
    scored(722, {"reason": "burnt", "number": 1, "amount": "0.5"})
    row = (ISSUER, HOTKEY, "", "0.5", "burnt: 1", "")
    assert table(report(cycle(1, hours_ago=1)), "scores") == [row]


def test_without_a_known_cycle_it_is_about_everything() -> None:
    paid(0, Decimal(1))
    paid(722, Decimal(2))
    one = report(None)
    assert table(one, "paid")[0][:2] == (HOTKEY, "3")
    assert one.as_text().startswith("no cycle is known")


def test_text_and_json_have_the_same_rows() -> None:
    paid(722, Decimal("1.5"))
    one = report(cycle(1, hours_ago=1))
    assert one.as_json()["paid"][0]["alpha"] == "1.5"
    lines = one.as_text().splitlines()
    assert lines[0] == "cycle of blocks 722 to 1443"
    head = lines.index("PAID")
    assert lines[head + 1].split() == ["hotkey", "alpha", "read"]
    assert lines[head + 2].split()[:2] == [HOTKEY, "1.5"]
    assert "  nothing" in lines
    assert "MINER_SCORE_URLS" in one.as_text()
