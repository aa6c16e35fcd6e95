"""The job of an attempt, and what is kept of a miner's messages."""

from datetime import UTC, datetime

import pytest

from compute_horde.deadlines import timing_of
from compute_horde.faults import Culprit
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import HordeFailed, JobFinished
from compute_horde.vocabulary import HordeReason, JobState, Party
from compute_horde.volumes import InlineVolume
from tests.peers.keys import MINER, VALIDATOR
from tests.validator.conftest import configured
from tests.validator.synthetic.making import attempt, prepared
from validator.jobs.rules import budget
from validator.jobs.store import Event
from validator.synthetic import attempts
from validator.synthetic.attempts import Attempt, PreparedContract, in_turns
from validator.synthetic.outcomes import Outcome

UUID = "00000000-0000-0000-0000-000000000001"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_the_job_carries_what_the_kind_prepared() -> None:
    volume = InlineVolume(contents="x")
    job = prepared("m", volume=volume, env={"A": "1"})
    made = attempts.request(job, UUID)
    assert (made.args, made.docker_image, made.env) == (list(job.args), job.image, {"A": "1"})
    assert (made.volume, made.use_gpu, made.execution_time_limit) == (volume, False, 60)
    assert attempts.request(prepared("m", ExecutorClass.always_on__gpu_24gb), UUID).use_gpu


def test_a_new_miner_has_more_time() -> None:
    assert attempts.request(prepared("m"), UUID, 3).execution_time_limit == 180


def test_every_miner_has_a_turn_before_one_has_two() -> None:
    made = [attempt(hotkey, number=n) for hotkey, n in (("a", 0), ("a", 1), ("a", 2), ("b", 0))]
    turns = [(one.executor.hotkey, one.executor.number) for one in in_turns(made)]
    assert turns == [("a", 0), ("b", 0), ("a", 1), ("a", 2)]


def test_the_offer_is_signed_before_it_is_sent() -> None:
    job = attempt(MINER.ss58_address).request
    limits = budget(job, configured().timing)
    contract = PreparedContract(job, MINER.ss58_address, VALIDATOR, limits, is_organic=False)
    started = contract.prepare_offer(NOON)
    offer = contract.offer(started)
    assert contract.offer(started) is offer
    assert offer.job_started_receipt_payload.timestamp == NOON
    assert offer.executor_timing == timing_of(job, leeway=limits.leeway)
    again = contract.sign_started_receipt(NOON.replace(hour=13))
    assert contract.offer(again).job_started_receipt_payload.timestamp.hour == 13


def test_long_messages_of_a_miner_are_cut_and_short_ones_are_not() -> None:
    done = JobFinished(
        job_uuid=UUID,
        docker_process_stdout="1\n",
        docker_process_stderr="",
        artifacts={"/a": "x" * 10},
    )
    assert attempts.shortened(done) is done
    long = done.model_copy(
        update={"docker_process_stderr": "e" * 10**6, "artifacts": {"/a": "x" * 10**6}}
    )
    assert attempts.shortened(long) == done.model_copy(
        update={"docker_process_stderr": "e" * attempts.KEPT_CHARACTERS, "artifacts": {}}
    )
    lost = HordeFailed(
        job_uuid=UUID,
        reported_by=Party.MINER,
        reason=HordeReason.GENERIC_ERROR,
        message="m" * 10**6,
        context={"k": "v" * 10**6},
    )
    assert attempts.shortened(lost) == lost.model_copy(
        update={"message": "m" * attempts.KEPT_CHARACTERS, "context": {}}
    )


def ended(sent_by: Party, outcome: Outcome) -> Attempt:
    one = attempt("m")
    failed = HordeFailed(
        job_uuid=UUID, reported_by=sent_by, reason=HordeReason.GENERIC_ERROR, message="x"
    )
    one.events = [Event(JobState.HORDE_FAILED, failed, sent_by)]
    one.outcome, one.blamed, one.reason = outcome, Culprit.MINER, "as it ended"
    return one


def silent() -> list[Attempt]:
    return [
        ended(Party.VALIDATOR, outcome) for outcome in (Outcome.UNREACHABLE, Outcome.NOT_ACCEPTED)
    ]


def test_nobody_is_blamed_when_no_miner_answered() -> None:
    made = silent()
    assert attempts.blame_nobody_for_silence(made).startswith("No miner answered: the validator's")
    assert [one.blamed for one in made] == [Culprit.NOBODY] * 2
    assert {one.reason for one in made} == {"no miner answered: as it ended"}
    assert attempts.blame_nobody_for_silence([]) == ""


@pytest.mark.parametrize(
    "answer",
    [
        (Party.MINER, Outcome.DECLINED_BUSY),
        (Party.EXECUTOR, Outcome.JOB_FAILED),
        (Party.VALIDATOR, Outcome.BROKE_PROTOCOL),
    ],
)
def test_one_answer_shows_that_the_others_were_silent_themselves(
    answer: tuple[Party, Outcome],
) -> None:
    made = [*silent(), ended(*answer)]
    assert attempts.blame_nobody_for_silence(made) == ""
    assert [one.blamed for one in made] == [Culprit.MINER] * 3
    assert {one.reason for one in made} == {"as it ended"}
