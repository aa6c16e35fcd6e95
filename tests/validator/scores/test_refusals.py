"""A refused job of a user counts only where the miner is known to have had an executor free."""

from typing import Any
from uuid import uuid4

import pytest

from compute_horde.cycles import Cycle
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.receipts import AnyPayload, JobFinishedReceipt
from compute_horde.vocabulary import ReceiptType
from tests.peers.keys import MINER, VALIDATOR
from tests.validator.receipts import published
from tests.validator.scores.cycles import CYCLE, NETUID, at, offering, seen, users_job
from validator.jobs.models import Job, RefusedOffer
from validator.network.models import Fact, ObservedBlocks
from validator.receipts.models import IssuedReceipt, Receipt
from validator.scores.allowances import AllowanceRule
from validator.scores.collect import collect, time_of
from validator.scores.refusals import MOST_JUDGED, refused_jobs
from validator.scoring.facts import JobOutcome
from validator.scoring.formulas import score_cycle
from validator.scoring.parameters import DEFAULTS, FormulaName

pytestmark = pytest.mark.django_db

HOTKEY = MINER.ss58_address
KIND = ExecutorClass.always_on__test
RULE = AllowanceRule(VALIDATOR.ss58_address)
BLOCK = CYCLE.start + 20


@pytest.fixture(autouse=True)
def _cycle() -> None:
    seen(CYCLE.start, CYCLE.stop)
    offering(CYCLE, **{HOTKEY: 1})


def issue(payload: AnyPayload) -> None:
    earns = isinstance(payload, JobFinishedReceipt)
    IssuedReceipt.objects.create(
        job_uuid=payload.job_uuid,
        receipt_type=payload.receipt_type,
        miner_hotkey=payload.miner_hotkey,
        score=payload.score_str if earns else None,
        payload=payload.model_dump_json(),
        signature="0x",
        issued_at=payload.timestamp,
    )


def started(uuid: str, block: int) -> None:
    issue(published.started(uuid, executor_class=KIND, ttl=30, timestamp=at(block)))


def refused(reason: str = "busy", block: int = BLOCK, hotkey: str = HOTKEY, **job: Any) -> Job:
    """A job that a miner declined, after a receipt for it was signed."""
    row = users_job("", block, **({"state": "rejected", "miner": ""} | job))
    RefusedOffer.objects.create(job=row, hotkey=hotkey, reason=reason, declined_at=at(block))
    started(str(row.pk), block)
    return row


def free(cycle: Cycle = CYCLE) -> list[int]:
    since = time_of(cycle.start)
    assert since is not None
    return [one.free_executors for one in refused_jobs(cycle, since, time_of(cycle.stop), RULE)]


@pytest.mark.parametrize("reason", ["busy", "unknown", "validator_blacklisted"])
def test_a_refusal_while_an_executor_is_free_is_a_fact(reason: str) -> None:
    job = refused(reason)
    (found,) = collect(CYCLE, NETUID, DEFAULTS[FormulaName.SECONDS], RULE).jobs
    assert (found.job_uuid, found.hotkey, found.executor_class) == (str(job.pk), HOTKEY, KIND)
    assert (found.outcome, found.is_organic) == (JobOutcome.REFUSED, True)
    assert found.free_executors == 1
    assert collect(CYCLE, NETUID).jobs == ()


def test_it_lowers_the_factor_of_the_formula_seconds() -> None:
    refused()
    users_job(HOTKEY, BLOCK - 9, seconds=3600)
    parameters = DEFAULTS[FormulaName.SECONDS]
    (scores,) = score_cycle(collect(CYCLE, NETUID, parameters, RULE), parameters).miners
    assert any("refused while 1 executor was free" in item.reason for item in scores.items)


@pytest.mark.parametrize("reason", ["invalid_signature", "invalid_receipt", "no_miner_for_job"])
def test_what_need_not_be_the_miners_fault_is_none(reason: str) -> None:
    refused(reason)
    assert free() == []


@pytest.mark.parametrize(
    ("ended", "counts"),
    [(None, []), (BLOCK - 1, []), (BLOCK - 10, [1]), (BLOCK + 1, [])],
)
def test_an_executor_with_work_or_just_after_it_is_not_free(
    ended: int | None, counts: list[int]
) -> None:
    uuid = str(uuid4())
    started(uuid, BLOCK - 20)
    issue(published.accepted(uuid, timestamp=at(BLOCK - 20), ttl=3600))
    if ended is not None:
        issue(published.finished(uuid, timestamp=at(ended)))
    refused()
    assert free() == counts


@pytest.mark.parametrize(("validator", "counts"), [("peer", []), ("stranger", [1])])
def test_receipts_of_validators_without_stake_excuse_nobody(
    validator: str, counts: list[int]
) -> None:
    Fact.objects.create(
        kind=Fact.Kind.NEURON,
        subject="peer",
        value={"uid": 7, "coldkey": "cold", "permit": True},
        from_block=CYCLE.start,
        until_block=CYCLE.stop,
        began_at=at(CYCLE.start),
    )
    Receipt.objects.create(
        job_uuid=uuid4(),
        receipt_type=ReceiptType.STARTED,
        miner_hotkey=HOTKEY,
        validator_hotkey=validator,
        timestamp=at(BLOCK),
        valid_until=at(BLOCK + 5),
        executor_class=KIND,
        is_organic=True,
        payload="{}",
        validator_signature=b"",
        miner_signature=b"",
        stored_at=at(BLOCK),
    )
    refused()
    assert free() == counts


@pytest.mark.parametrize(
    "fields",
    [{"miner": HOTKEY}, {"executor_class": "gone"}, {"executor_class": "always_on.gpu-24gb"}],
)
def test_a_miner_that_took_the_job_or_does_not_offer_the_class_refused_none(fields: dict) -> None:
    refused(**fields)
    assert free() == []


def test_the_validators_own_miner_refuses_nothing() -> None:
    refused(hotkey=TRUSTED_MINER_HOTKEY)
    assert free() == []


def test_without_a_known_manifest_or_outside_of_the_cycle_nothing_counts() -> None:
    refused(block=CYCLE.start - 1)
    refused(block=CYCLE.stop)
    assert free() == []
    refused()
    assert free() == [1]
    ObservedBlocks.objects.all().delete()
    assert free() == []


def test_only_the_first_refusals_are_looked_at() -> None:
    for number in range(MOST_JUDGED + 2):
        refused(block=BLOCK + 20 * number)
    assert len(free()) == MOST_JUDGED
