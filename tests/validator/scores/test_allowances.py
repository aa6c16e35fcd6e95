"""What receipts of all validators are judged by: blocks with stakes, manifests, offered blocks."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import uuid4

import pytest

from compute_horde.adapters.chain_port import RAO_PER_TAO
from compute_horde.cycles import Cycle
from compute_horde.hardware import ExecutorClass
from tests.peers.keys import VALIDATOR
from tests.validator.scores.cycles import (
    CYCLE,
    at,
    offered_to_validators,
    registered,
    seen,
    users_job,
)
from validator.network.network_state import NEURON, STAKE, History, LoggedFact
from validator.receipts.models import IssuedReceipt, Receipt
from validator.scores import allowances
from validator.scores.actions import ensure_scored, exported
from validator.scores.allowances import (
    AllowanceRule,
    BlockTimes,
    allowance_facts,
    blocks,
    manifests,
)
from validator.scores.collect import collect
from validator.scores.models import Score
from validator.scores.recording import facts_json, read_facts, replay
from validator.scoring.facts import ManifestFact
from validator.scoring.parameters import DEFAULTS, AllowanceParameters, FormulaName
from validator.scoring.points.allowance import judged

pytestmark = pytest.mark.django_db

LLM, TEST = ExecutorClass.always_on__llm__a6000, ExecutorClass.always_on__test
PARAMETERS = DEFAULTS[FormulaName.ALLOWANCE]
OURS = AllowanceRule(VALIDATOR.ss58_address, RAO_PER_TAO)
OTHER = "other-validator"


def fact(
    kind: str,
    subject: str,
    value: object,
    *,
    item: str = "",
    since: int = 0,
    until: int | None = None,
) -> LoggedFact:
    return LoggedFact(kind, subject, item, value, since, until, at(0), None)


def neuron(hotkey: str, stake: int, *, permit: bool = True, since: int = 0) -> list[LoggedFact]:
    known = {"uid": 1, "coldkey": "cold", "permit": permit}
    return [fact(NEURON, hotkey, known), fact(STAKE, hotkey, stake * RAO_PER_TAO, since=since)]


def test_stakes_are_those_of_permitted_validators_at_each_block() -> None:
    facts = [*neuron("v", 10), *neuron("small", 0), *neuron("miner", 50, permit=False)]
    facts += neuron("late", 30, since=104)
    found = list(blocks(History(100, 108, tuple(facts)), AllowanceRule("v", RAO_PER_TAO)))
    assert [one.number for one in found] == list(range(100, 108))
    assert {one.length for one in found} == {12}
    early, late = found[3].stakes, found[4].stakes
    assert early == {"v": Fraction(10 * RAO_PER_TAO)}
    assert late == {"v": Fraction(10 * RAO_PER_TAO), "late": Fraction(30 * RAO_PER_TAO)}


def test_manifests_are_counted_up_to_the_cap_and_end() -> None:
    log = (
        fact("manifest", "a", 9, item=LLM, since=5, until=50),
        fact("manifest", "a", 1, item=LLM, since=50),
        fact("manifest", "b", 3, item=TEST, since=60, until=70),
        fact("manifest", "b", 3, item="unknown.class", since=60, until=70),
    )
    rule = AllowanceRule(cap=5, caps={LLM: 2})
    assert list(manifests(History(10, 100, log), rule)) == [
        ManifestFact("a", LLM, 5, 2),
        ManifestFact("a", LLM, 50, 1),
        ManifestFact("b", TEST, 60, 3),
        ManifestFact("b", TEST, 70, 0),
    ]


def test_the_block_of_a_moment_lies_between_two_reads() -> None:
    seen(700, 710)
    times = BlockTimes.read(600, 800)
    assert times.block(at(705) + timedelta(seconds=1)) == 705
    assert times.block(at(709) + timedelta(seconds=600)) == 759
    assert times.block(at(699)) == 0
    assert times.time(705) == at(710)
    assert times.time(711) is None
    assert (times.time_before(709), times.time_before(699)) == (at(700), None)


def publish(
    uuid: str,
    miner: str,
    block: int,
    offered: list[int],
    *,
    finished: datetime | None = None,
    **fields: object,
) -> None:
    """A started and a finished receipt of another validator, as fetched from its miner."""
    given = {
        "job_uuid": uuid,
        "miner_hotkey": miner,
        "validator_hotkey": OTHER,
        "validator_signature": b"",
        "miner_signature": b"",
        "stored_at": at(block),
    } | fields
    start = {"receipt_type": "JobStartedReceipt", "executor_class": TEST, "is_organic": True}
    Receipt.objects.create(**{**start, **given}, timestamp=at(block), payload="{}")
    given.pop("is_organic", None)
    Receipt.objects.create(
        **given,
        receipt_type="JobFinishedReceipt",
        timestamp=finished or at(block) + timedelta(seconds=30),
        score=120,
        payload=json.dumps({"block_numbers": offered}),
    )


def issue(uuid: str, miner: str, block: int, offered: list[int]) -> None:
    """The same two receipts of this validator."""
    moment: datetime = at(block)
    for kind, payload, score in (
        ("JobStartedReceipt", {"executor_class": TEST, "is_organic": True}, None),
        ("JobFinishedReceipt", {"block_numbers": offered, "time_took_us": 1}, 120),
    ):
        IssuedReceipt.objects.create(
            job_uuid=uuid,
            receipt_type=kind,
            miner_hotkey=miner,
            payload=json.dumps(payload),
            signature="0x",
            score=score,
            issued_at=moment,
        )
        moment += timedelta(seconds=30)


@pytest.fixture
def _network() -> None:
    """Ten executors of alice and of bob; this validator has a quarter of the stake."""
    seen(*(CYCLE.start - before for before in (2500, 1450, 740, 0, -400)))
    seen(CYCLE.stop, CYCLE.stop + 5)
    registered("alice", "bob")
    offered_to_validators({VALIDATOR.ss58_address: 10, OTHER: 30}, "alice", "bob")


@pytest.mark.usefixtures("_network")
def test_receipts_of_all_validators_are_facts_with_the_blocks_that_may_pay() -> None:
    ours, theirs, before = (str(uuid4()) for _ in range(3))
    started = CYCLE.start + 100
    issue(ours, "alice", started, [started - 1, started - 2, started - 2, started - 800])
    publish(theirs, "bob", started + 1, [started])
    publish(before, "bob", CYCLE.start - 50, [CYCLE.start - 60])
    publish(ours, "alice", started, [1], validator_hotkey=VALIDATOR.ss58_address)
    publish(str(uuid4()), "bob", started, [started], is_organic=False)
    publish(str(uuid4()), "bob", CYCLE.stop + 1, [started])
    found = allowance_facts(CYCLE, AllowanceParameters(), OURS)
    receipts = {one.job_uuid: one for one in found.receipts}
    assert receipts.keys() == {ours, theirs, before}
    one = receipts[ours]
    assert (one.validator, one.hotkey, one.executor_class) == (
        VALIDATOR.ss58_address,
        "alice",
        TEST,
    )
    assert (one.started_block, one.cost) == (started, 120)
    assert one.blocks == (started - 1, started - 2)
    assert [receipts[uuid].is_earlier for uuid in (ours, theirs, before)] == [False, False, True]
    assert receipts[theirs].validator == OTHER
    assert found.blocks[-1].number == CYCLE.stop - 1


@pytest.mark.usefixtures("_network")
def test_a_cycle_is_scored_by_allowance_exported_and_replayed() -> None:
    """Of 10 executors, a quarter of the stake gives 30 seconds a block, three quarters give 90."""
    started = CYCLE.start + 100
    issue(str(uuid4()), "alice", started, [started - number for number in range(4)])
    issue(str(uuid4()), "alice", started + 1, [started])
    publish(str(uuid4()), "bob", CYCLE.start - 50, [CYCLE.start - 60, CYCLE.start - 61])
    publish(str(uuid4()), "bob", started, [CYCLE.start - 60, started])
    publish(str(uuid4()), "bob", started + 1, [started + 1, started - 1])
    parameters = PARAMETERS.model_copy(update={"class_weights": {TEST: Decimal(1)}})
    scored = ensure_scored(CYCLE, 12, parameters, VALIDATOR, OURS)
    shares = dict(Score.objects.values_list("hotkey", "share"))
    assert {name: float(shares[name]) for name in ("alice", "bob")} == {"alice": 0.5, "bob": 0.5}
    items = json.loads(Score.objects.get(hotkey="bob").document)["items"]
    assert [(item["reason"], item["number"]) for item in items[:2]] == [
        ("jobs paid by allowance: 1", "120"),
        ("jobs that the allowance does not cover: 1", "120"),
    ]
    text = exported(scored)
    assert replay(text.encode())[1]
    assert facts_json(read_facts(scored.facts)) == scored.facts


def paid_jobs(cycle: Cycle, miner: str) -> int:
    parameters = PARAMETERS.model_copy(update={"class_weights": {TEST: Decimal(1)}})
    facts = collect(cycle, 12, parameters, OURS)
    return judged(facts, parameters.allowance)[miner, TEST].paid_jobs


@pytest.mark.usefixtures("_network")
def test_blocks_pay_once_however_long_a_receipt_says_that_its_job_lasted() -> None:
    """The first job of the cycle before the last one used up what a later receipt offers again."""
    started = CYCLE.start - 1000
    offered = [started - number for number in range(4)]
    publish(str(uuid4()), "bob", started, offered)
    # As long as it may last, and in the cycle; then longer.
    publish(str(uuid4()), "bob", CYCLE.start - 730, offered, finished=at(CYCLE.start + 1))
    publish(str(uuid4()), "bob", started, offered, finished=at(CYCLE.start + 2))
    assert paid_jobs(CYCLE, "bob") == 0


@pytest.mark.usefixtures("_network")
def test_a_job_is_not_paid_if_it_lasted_longer_than_a_block_stays_valid() -> None:
    for miner, started in (("alice", CYCLE.start - 700), ("bob", CYCLE.start - 800)):
        offered = [started - number for number in range(4)]
        publish(str(uuid4()), miner, started, offered, finished=at(CYCLE.start + 2))
    assert [paid_jobs(CYCLE, miner) for miner in ("alice", "bob")] == [1, 0]


@pytest.mark.usefixtures("_network")
def test_a_job_that_finished_before_it_started_is_no_fact() -> None:
    started = CYCLE.start + 100
    publish(str(uuid4()), "bob", started, [started], finished=at(started - 1))
    assert allowance_facts(CYCLE, AllowanceParameters(), OURS).receipts == ()


@pytest.mark.usefixtures("_network")
def test_longer_lists_of_blocks_than_can_be_valid_are_not_read() -> None:
    started, most = CYCLE.start + 100, 738
    exact, longer = str(uuid4()), str(uuid4())
    for uuid, count in ((exact, most), (longer, most + 1)):
        publish(uuid, "bob", started, [started - number for number in range(count)])
    found = allowance_facts(CYCLE, AllowanceParameters(), OURS)
    assert {one.job_uuid: len(one.blocks) for one in found.receipts} == {exact: most, longer: 0}


@pytest.mark.usefixtures("_network")
def test_of_one_validator_and_miner_the_oldest_receipts_count_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(allowances, "MAX_RECEIPT_BYTES", 2 * allowances.RECEIPT_BYTES + 20)
    monkeypatch.setattr(allowances, "ROWS_AT_ONCE", 2)
    started, uuids = CYCLE.start + 100, [str(uuid4()) for _ in range(5)]
    for number, uuid in reversed(list(enumerate(uuids))):
        publish(uuid, "bob", started + number, [started])
    publish(str(uuid4()), "alice", started, [started])
    found = allowance_facts(CYCLE, AllowanceParameters(), OURS).receipts
    assert [one.job_uuid for one in found if one.hotkey == "bob"] == uuids[:2]
    assert [one.hotkey for one in found].count("alice") == 1
    [logged] = [one for one in caplog.records if "left out" in one.message]
    assert (logged.validator, logged.miner, logged.receipts) == (OTHER, "bob", 3)


def test_without_a_log_of_the_time_there_are_no_facts() -> None:
    found = allowance_facts(Cycle(722, 1444, 1), AllowanceParameters(), OURS)
    assert (found.blocks, found.receipts) == ((), ())


def test_jobs_without_blocks_are_not_paid() -> None:
    seen(CYCLE.start, CYCLE.stop)
    users_job("alice", CYCLE.start + 5, seconds=5)
    assert allowance_facts(CYCLE, AllowanceParameters(), OURS).receipts == ()
