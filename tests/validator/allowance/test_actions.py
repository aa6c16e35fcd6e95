"""Blocks are spent for ended jobs, each once."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from compute_horde.adapters.chain_port import RAO_PER_TAO
from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from tests.peers.keys import VALIDATOR
from tests.query_plans import indexes_used
from tests.validator.conftest import configured
from tests.validator.scores.cycles import CYCLE, at, offered_to_validators, seen
from validator.allowance.actions import BlockPayer, PaidJob
from validator.allowance.models import SpentBlock
from validator.network.models import Fact, ObservedBlocks
from validator.receipts.models import IssuedReceipt
from validator.scores.allowances import AllowanceRule
from validator.scoring.parameters import AllowanceParameters

pytestmark = pytest.mark.django_db

LLM, TEST = ExecutorClass.always_on__llm__a6000, ExecutorClass.always_on__test
STARTED = CYCLE.start + 850
OLDEST = STARTED - 722


def network() -> None:
    """A block gives 30 seconds at alice and at bob: 10 executors, a quarter of the stake."""
    seen(CYCLE.start - 1500, *range(CYCLE.start, CYCLE.start + 890, 10))
    offered_to_validators({VALIDATOR.ss58_address: 10, "other": 30}, "alice", "bob")


def payer() -> BlockPayer:
    return BlockPayer(AllowanceRule(VALIDATOR.ss58_address, RAO_PER_TAO), AllowanceParameters())


def ended(cost: str = "60", miner: str = "alice", *, started: int = STARTED) -> PaidJob:
    """A job with its started receipt."""
    job = PaidJob(str(uuid4()), miner, TEST, Decimal(cost))
    IssuedReceipt.objects.create(
        job_uuid=job.uuid,
        receipt_type="JobStartedReceipt",
        miner_hotkey=miner,
        payload=json.dumps({"executor_class": TEST, "is_organic": True}),
        signature="0x",
        issued_at=at(started),
    )
    return job


def test_the_oldest_unspent_blocks_of_the_miner_and_class_pay() -> None:
    network()
    pay = payer().pay
    first, second, elsewhere = ended("60"), ended("60.000001"), ended("30", "bob")
    assert pay(first) == (OLDEST, OLDEST + 1)
    assert pay(second) == (OLDEST + 2, OLDEST + 3, OLDEST + 4)
    assert pay(elsewhere) == (OLDEST,)
    assert SpentBlock.objects.count() == 6


def test_a_repeated_call_spends_nothing_more() -> None:
    network()
    job = ended()
    assert payer().pay(job) == payer().pay(job) == (OLDEST, OLDEST + 1)
    assert payer().pay(replace(job, cost=Decimal(90))) == (OLDEST, OLDEST + 1, OLDEST + 2)
    assert payer().pay(ended("30")) == (OLDEST + 3,)


def test_blocks_before_a_smaller_manifest_do_not_pay() -> None:
    network()
    drop = STARTED - 100
    manifest = Fact.objects.filter(subject="alice", kind="manifest")
    manifest.update(until_block=drop)
    Fact.objects.create(
        kind="manifest",
        subject="alice",
        item=TEST,
        value=4,
        from_block=drop,
        began_at=at(drop),
    )
    assert payer().pay(ended("24")) == (drop, drop + 1)


def unpaid(job: PaidJob, caplog: pytest.LogCaptureFixture) -> str:
    """Why no block pays for the job, as logged."""
    caplog.clear()
    assert payer().pay(job) == ()
    assert not SpentBlock.objects.filter(job_uuid=job.uuid).exists()
    [logged] = [one for one in caplog.records if "no allowance" in one.message]
    assert logged.job == job.uuid
    return str(logged.problem)


def test_without_enough_allowance_nothing_is_spent_and_the_log_says_what_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network()
    all_blocks = 718
    text = "its 718 unspent blocks give 21540.000000 seconds, it costs 21540.1"
    assert unpaid(ended("21540.1"), caplog) == text
    assert len(payer().pay(ended("21540"))) == all_blocks
    assert unpaid(ended("1"), caplog) == "its 0 unspent blocks give 0.000000 seconds, it costs 1"
    assert "0 unspent blocks" in unpaid(replace(ended(), executor_class=LLM), caplog)


def test_a_job_whose_start_is_unknown_or_too_long_ago_has_no_blocks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network()
    assert "it took 9" in unpaid(ended(started=CYCLE.start - 10), caplog)
    assert "is not known" in unpaid(ended(started=CYCLE.start - 2000), caplog)
    nobody = PaidJob(str(uuid4()), "alice", TEST, Decimal(1))
    assert "is not known" in unpaid(nobody, caplog)


def test_reserved_blocks_pay_for_the_job_even_when_they_became_too_old_for_others() -> None:
    network()
    now = CYCLE.start + 900
    payer_of_all, job = payer(), ended("60", started=now + 1)
    assert payer_of_all.reserve(job)
    reserved = list(SpentBlock.objects.order_by("block").values_list("block", flat=True))
    assert len(reserved) == 2
    assert payer_of_all.pay(ended("30")) != (reserved[0],)
    assert list(payer_of_all.pay(job)) == reserved


def test_what_was_reserved_and_is_not_needed_is_free_again() -> None:
    network()
    cancelled, failed, declined = (ended("90") for _ in range(3))
    for job in (cancelled, failed, declined):
        assert payer().reserve(job)
    assert len(payer().pay(replace(cancelled, cost=Decimal("30.5")))) == 2
    assert payer().pay(replace(failed, cost=Decimal(0))) == ()
    payer().release(declined)
    assert set(SpentBlock.objects.values_list("job_uuid", flat=True)) == {UUID(cancelled.uuid)}
    assert SpentBlock.objects.count() == 2


def test_a_job_that_the_allowance_does_not_cover_reserves_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network()
    assert not payer().reserve(PaidJob(str(uuid4()), "alice", TEST, Decimal(21541)))
    assert not payer().reserve(PaidJob(str(uuid4()), "nobody", TEST, Decimal(1)))
    assert not SpentBlock.objects.exists()
    assert "it costs 21541" in caplog.records[0].problem


def test_stakes_are_read_again_only_for_newer_blocks(django_assert_num_queries) -> None:
    network()
    pay = payer().pay
    pay(ended())
    job = ended(started=STARTED - 300)
    # The start, twice two of the chain's time, manifest, what is known of the chain, lock, spent
    # blocks, new ones, and twice the savepoint.
    with django_assert_num_queries(12):
        assert len(pay(job)) == 2
    ObservedBlocks.objects.update(last_block=CYCLE.stop + 200)
    newer = ended(started=CYCLE.stop + 260)
    with django_assert_num_queries(13):
        assert len(pay(newer)) == 2


def test_blocks_whose_stakes_are_not_logged_yet_do_not_pay() -> None:
    network()
    ObservedBlocks.objects.update(last_block=OLDEST + 40)
    assert payer().pay(ended("1530")) == ()
    assert payer().pay(ended("1500")) == tuple(range(OLDEST, OLDEST + 50))
    ObservedBlocks.objects.all().delete()
    assert payer().pay(ended("1")) == ()


@pytest.mark.django_db(transaction=True)
async def test_of_jobs_that_end_at_once_none_is_paid_with_the_blocks_of_another() -> None:
    await in_database(network)
    pay, jobs = payer().pay, [await in_database(ended) for _ in range(8)]
    paid = await asyncio.gather(*(in_database(pay, job) for job in jobs))
    numbers = sorted(number for blocks in paid for number in blocks)
    assert numbers == list(range(OLDEST, OLDEST + 16))


def test_only_validators_whose_formula_is_allowance_pay_with_blocks() -> None:
    assert BlockPayer.configured(configured(formula="seconds")) is None
    assert BlockPayer.configured(configured(formula="allowance"))


def test_each_query_uses_an_index() -> None:
    network()
    job = ended()
    plans = indexes_used(lambda: payer().pay(job))
    assert "each_block_pays_once" in plans
    assert "one_receipt_of_each_type" in plans
    assert "snapshot_taken_at" in plans
    assert "one_run_ends_in_a_block" in plans
    assert "Seq Scan" not in plans
