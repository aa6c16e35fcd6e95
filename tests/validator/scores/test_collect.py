"""The facts of a cycle are what this validator saw in it, and nothing else."""

from fractions import Fraction

import pytest

from compute_horde.cycles import Cycle
from compute_horde.faults import Culprit
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from tests.validator.scores.cycles import (
    BEGAN,
    CYCLE,
    NETUID,
    attempt,
    batch,
    offering,
    registered,
    seen,
    users_job,
)
from validator.network.models import NamedMainHotkey
from validator.receipts.models import IssuedReceipt
from validator.scores.collect import collect, time_of
from validator.scores.recording import facts_json, read_facts
from validator.scoring.facts import ExecutorCount, JobOutcome, MainHotkeys, RegisteredMiner
from validator.scoring.parameters import DEFAULTS, FormulaName
from validator.trusted_miner.models import CheatFinding

pytestmark = pytest.mark.django_db

TEST = ExecutorClass.always_on__test


@pytest.fixture(autouse=True)
def _cycle() -> None:
    seen(700, CYCLE.start, 1000, CYCLE.stop, 1500)
    registered("alice", "bob")


def test_without_a_log_the_miners_are_those_of_now() -> None:
    facts = collect(CYCLE, NETUID)
    assert facts.cycle_start == CYCLE.start
    assert facts.miners == (
        RegisteredMiner("alice", 0, "cold-alice"),
        RegisteredMiner("bob", 1, "cold-bob"),
    )
    assert facts.offered == ()


def test_the_miners_and_their_manifests_are_those_at_the_end_of_the_cycle() -> None:
    offering(CYCLE, carol=3)
    facts = collect(CYCLE, NETUID)
    assert facts.miners == (RegisteredMiner("carol", 1, "cold"),)
    assert facts.offered == (ExecutorCount("carol", TEST, 3),)


def test_facts_can_be_read_whatever_miners_declare_and_decline() -> None:
    offering(CYCLE, carol=2**31 - 1)
    attempt(batch(), "carol", "declined_busy", free_executors=2**31 - 1)
    facts = collect(CYCLE, NETUID)
    assert facts.offered[0].count == facts.jobs[0].free_executors == 10**6
    assert read_facts(facts_json(facts)) == facts


def test_a_batch_that_began_on_the_grid_of_another_tempo_counts_where_it_began() -> None:
    length = CYCLE.stop - CYCLE.start
    began = CYCLE.start + 5
    attempt(batch(cycle=Cycle(began, began + length, CYCLE.number)), "alice")
    moved = Cycle(CYCLE.start - 9, CYCLE.start - 9 + length, CYCLE.number)
    assert [job.hotkey for job in collect(CYCLE, NETUID).jobs] == ["alice"]
    assert [job.hotkey for job in collect(moved, NETUID).jobs] == ["alice"]
    later = Cycle(CYCLE.start + 6, CYCLE.start + 6 + length, CYCLE.number)
    assert collect(later, NETUID).jobs == ()


def test_sizes_in_the_last_two_peak_cycles_are_facts_when_both_are_known() -> None:
    length = CYCLE.stop - CYCLE.start
    day = 10 * length
    assert collect(CYCLE, NETUID).is_peak
    later = Cycle(CYCLE.start + day + length, CYCLE.stop + day + length, CYCLE.number + 11)
    offering(CYCLE, alice=1)
    assert collect(later, NETUID).peak_offered == ()
    offering(Cycle(CYCLE.start + day, CYCLE.stop + day, CYCLE.number + 10), alice=4)
    facts = collect(later, NETUID)
    assert not facts.is_peak
    assert facts.peak_offered == (ExecutorCount("alice", TEST, 4),)
    assert facts.previous_peak_offered == (ExecutorCount("alice", TEST, 1),)


@pytest.mark.parametrize("moved", [(3, 0), (0, -3), (0, 1 - (CYCLE.stop - CYCLE.start))])
def test_blocks_that_are_no_cycle_compare_no_sizes(moved: tuple[int, int]) -> None:
    day = 10 * (CYCLE.stop - CYCLE.start)
    for days in (0, 1):
        offering(Cycle(CYCLE.start + days * day, CYCLE.stop + days * day, 0), alice=4)
    start, stop = CYCLE.start + day + 722, CYCLE.stop + day + 722
    assert not collect(Cycle(start, stop, 0), NETUID).is_peak
    facts = collect(Cycle(start + moved[0], stop + moved[1], 0), NETUID)
    assert (facts.is_peak, facts.peak_offered, facts.previous_peak_offered) == (True, (), ())


@pytest.mark.parametrize(
    ("ended_as", "counts_as"),
    [
        ("correct", JobOutcome.COMPLETED),
        ("wrong_answer", JobOutcome.WRONG),
        ("too_late", JobOutcome.LATE),
        ("unreachable", JobOutcome.FAILED),
        ("declined_busy", JobOutcome.REFUSED),
    ],
)
def test_an_attempt_of_the_batch_counts_as_it_ended(ended_as: str, counts_as: JobOutcome) -> None:
    attempt(batch(), "alice", ended_as)
    (job,) = collect(CYCLE, NETUID).jobs
    assert (job.hotkey, job.executor_class, job.outcome) == ("alice", TEST, counts_as)
    assert not job.is_organic


def test_a_busy_miner_with_receipts_is_excused() -> None:
    attempt(batch(), "alice", "declined_busy", excused=True, blamed=Culprit.NOBODY)
    (job,) = collect(CYCLE, NETUID).jobs
    assert job.outcome is JobOutcome.EXCUSED


def test_an_attempt_that_a_control_fault_explains_is_spared_with_its_usual_seconds() -> None:
    held = batch()
    attempt(held, "alice", "not_ready", control_fault="registry", blamed=Culprit.NOBODY)
    worked = attempt(held, "bob")
    IssuedReceipt.objects.create(
        job_uuid=worked.job_id,
        receipt_type="JobFinishedReceipt",
        miner_hotkey="bob",
        payload='{"time_took_us": 1500000}',
        signature="0x",
        issued_at=BEGAN,
    )
    (spared,) = (one for one in collect(CYCLE, NETUID).jobs if one.hotkey == "alice")
    assert spared.outcome is JobOutcome.SPARED
    assert spared.fault == "the registry of the image failed"
    assert spared.seconds == Fraction("1.5")


def test_a_refusal_tells_how_many_executors_were_free() -> None:
    attempt(batch(), "alice", "declined_busy", free_executors=2)
    assert [one.free_executors for one in collect(CYCLE, NETUID).jobs] == [2]


def test_efficiencies_are_facts_of_the_formula_seconds_only() -> None:
    attempt(batch(), "alice", metrics={"seconds": 4, "promised": 2})
    assert collect(CYCLE, NETUID).efficiencies == ()
    (known,) = collect(CYCLE, NETUID, DEFAULTS[FormulaName.SECONDS]).efficiencies
    assert known.measured == Fraction(1, 2)


@pytest.mark.parametrize("blamed", sorted(set(Culprit) - {Culprit.MINER}))
def test_what_is_not_the_miners_fault_does_not_count(blamed: Culprit) -> None:
    attempt(batch(), "alice", "unreachable", blamed=blamed)
    assert collect(CYCLE, NETUID).jobs == ()


@pytest.mark.parametrize("outcome", ["open", "validator_failed", "interrupted"])
def test_attempts_without_an_end_of_the_miners_do_not_count(outcome: str) -> None:
    attempt(batch(), "alice", outcome)
    assert collect(CYCLE, NETUID).jobs == ()


@pytest.mark.parametrize("state", ["running", "failed", "interrupted"])
def test_only_complete_batches_of_the_cycle_count(state: str) -> None:
    attempt(batch(state), "alice")
    attempt(batch(cycle=Cycle(0, 708, 0)), "alice")
    assert collect(CYCLE, NETUID).jobs == ()


def test_users_jobs_count_in_the_cycle_in_which_they_ended() -> None:
    for block in (CYCLE.start - 1, CYCLE.stop):
        users_job("alice", block)
    inside = users_job("bob", CYCLE.stop - 1, seconds=90)
    (job,) = collect(CYCLE, NETUID).jobs
    assert (job.job_uuid, job.hotkey, job.outcome) == (
        str(inside.pk),
        "bob",
        JobOutcome.COMPLETED,
    )
    assert job.is_organic
    assert job.seconds == Fraction(90)


def test_a_long_job_is_counted_once_and_whenever_its_receipt_was_signed() -> None:
    users_job("alice", CYCLE.stop - 1, seconds=1800, intervals=2, signed_at=CYCLE.stop + 50)
    (job,) = collect(CYCLE, NETUID).jobs
    assert job.seconds == 1800


@pytest.mark.parametrize("fields", [{"kind": "admin"}, {"state": "failed"}, {"miner": ""}])
def test_other_jobs_do_not_count(fields: dict[str, str]) -> None:
    users_job("alice", 800, **fields)
    assert collect(CYCLE, NETUID).jobs == ()


@pytest.mark.parametrize(
    ("verdict", "counts_as"),
    [("proved", JobOutcome.CHEATED), ("disproved", JobOutcome.COMPLETED)],
)
def test_a_job_whose_result_was_proved_false_counts_as_cheated(
    verdict: str, counts_as: JobOutcome
) -> None:
    job = users_job("alice", 800)
    CheatFinding.objects.create(job_uuid=job.pk, verdict=verdict, trusted_job_uuid=job.pk)
    (found,) = collect(CYCLE, NETUID).jobs
    assert (found.outcome, found.is_trusted) == (counts_as, False)


def test_a_job_on_the_trusted_miner_is_known_as_such() -> None:
    users_job(TRUSTED_MINER_HOTKEY, 800)
    (job,) = collect(CYCLE, NETUID).jobs
    assert job.is_trusted


def test_the_time_of_a_block_is_when_it_was_first_seen() -> None:
    assert time_of(CYCLE.start) == BEGAN
    assert time_of(701) == BEGAN
    assert time_of(5000) is None


def test_the_main_hotkeys_of_this_cycle_and_of_the_one_before_are_facts() -> None:
    before = CYCLE.start - (CYCLE.stop - CYCLE.start)
    named = [(before, "A", "a1"), (CYCLE.start, "A", "a2"), (CYCLE.start, "B", "b")]
    for cycle_start, coldkey, hotkey in [*named, (before - 1, "B", "old")]:
        NamedMainHotkey.objects.create(
            cycle_start=cycle_start, coldkey=coldkey, hotkey=hotkey, named_at=BEGAN
        )
    assert collect(CYCLE, NETUID).main_hotkeys == (
        MainHotkeys("A", "a2", "a1"),
        MainHotkeys("B", "b", None),
    )
