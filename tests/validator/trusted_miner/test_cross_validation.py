"""A share of the users' jobs is repeated on the trusted miner; only sure differences accuse."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from compute_horde.protocol.job import JobOffered, JobPayload
from compute_horde.protocol.left_out import LeftOut
from compute_horde.protocol.message import Message
from compute_horde.uploads import ZipPut
from compute_horde.vocabulary import RejectionReason
from tests.peers.miner import MinerPeer, declining, lost, obliging, result
from tests.peers.websocket_server import serving
from tests.validator.conftest import configured
from tests.validator.trusted_miner.ended_jobs import completed, report
from validator.config import Config
from validator.jobs.models import Job
from validator.miners import job_connections
from validator.trusted_miner import cross_validation, findings, rules
from validator.trusted_miner.models import CheatFinding, CrossValidation

pytestmark = pytest.mark.django_db

DECLARED = {"env": {rules.DETERMINISTIC: "true"}}


def settings(port: int = 1, **fields: Any) -> Config:
    given = {
        "trusted_miner_address": "127.0.0.1",
        "trusted_miner_port": port,
        "cross_validation_share": 1.0,
        "startup_seconds": 1,
    }
    return configured(**given | fields)


def printing(*texts: str):
    """A miner whose jobs print these in turn, the last one again and again."""
    left = list(texts)

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobPayload):
            return obliging(miner, message)
        text = left.pop(0) if len(left) > 1 else left[0]
        *before, _ = obliging(miner, message)
        return [*before, result(message.job_uuid, text)]

    return script


@contextmanager
def running(miner: MinerPeer) -> Iterator[None]:
    """The miner on a loop of its own: a worker's task has none."""
    loop, is_up = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def run() -> None:
        async with serving(miner):
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert is_up.wait(30)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


def repeated(miner: MinerPeer, job: Job, times: int = 1) -> CrossValidation:
    with running(miner):
        for _ in range(times):
            cross_validation.run_due(settings(miner.port))
    return CrossValidation.objects.get(pk=job.pk)


def test_an_equal_result_accuses_nobody_and_nothing_of_the_user_s_is_written() -> None:
    job = completed(**DECLARED, output_upload=ZipPut(url="http://bucket/users"))
    miner = MinerPeer()
    assert repeated(miner, job, times=2).state == "same"
    [payload] = miner.all(JobPayload)
    assert (payload.output_upload, payload.docker_run_cmd) == (None, ["echo", "hi"])
    assert payload.job_uuid != str(job.pk)
    assert not CheatFinding.objects.exists()


def test_a_false_result_is_recorded_with_its_evidence() -> None:
    job = completed("false\n", **DECLARED)
    miner = MinerPeer(printing("hi\n"))
    entry = repeated(miner, job)
    assert (entry.state, entry.problem) == ("differs", "stdout")
    assert len(miner.all(JobPayload)) == 2
    finding = CheatFinding.objects.get()
    assert (finding.pk, finding.source, finding.verdict) == (
        job.pk,
        "cross_validation",
        "proved",
    )
    assert Job.objects.get().cheat_reported_at


def test_a_job_that_is_not_deterministic_after_all_proves_nothing() -> None:
    job = completed("1\n", **DECLARED)
    assert repeated(MinerPeer(printing("2\n", "3\n")), job).state == "unstable"
    assert not CheatFinding.objects.exists()


def test_a_repetition_that_fails_proves_nothing() -> None:
    job = completed("1\n", **DECLARED)

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        is_payload = isinstance(message, JobPayload)
        return [lost(message.job_uuid)] if is_payload else obliging(miner, message)

    entry = repeated(MinerPeer(script), job)
    assert (entry.state, "lost" in entry.problem) == ("failed", True)
    assert not CheatFinding.objects.exists()


def test_a_busy_trusted_miner_is_asked_again_until_the_job_is_too_old() -> None:
    """Users can keep it busy: that ends the check of no miner."""
    job = completed(**DECLARED)
    miner = MinerPeer(declining(RejectionReason.BUSY))
    often = cross_validation.MAX_TRIES + 1
    entry = repeated(miner, job, times=often)
    assert (entry.state, entry.tries, len(miner.all(JobOffered))) == ("waiting", 0, often)
    long_ago = timezone.now() - cross_validation.MAX_AGE - timedelta(minutes=1)
    CrossValidation.objects.update(created_at=long_ago)
    assert repeated(miner, job).state == "failed"


def test_a_job_that_the_trusted_miner_refuses_is_tried_so_often() -> None:
    job = completed(**DECLARED)
    miner = MinerPeer(declining(RejectionReason.NO_MINER_FOR_JOB))
    assert repeated(miner, job, times=cross_validation.MAX_TRIES + 1).state == "failed"
    assert len(miner.all(JobOffered)) == cross_validation.MAX_TRIES


def test_what_only_the_miner_left_out_proves_nothing() -> None:
    left_out = {"left_out": (LeftOut(name="", why="too long"),)}
    job = completed("hi\n", finished=left_out, **DECLARED)

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobPayload):
            return obliging(miner, message)
        *before, _ = obliging(miner, message)
        return [*before, result(message.job_uuid, "hi\n", artifacts={"/a": "AA=="})]

    entry = repeated(MinerPeer(script), job)
    assert (entry.state, entry.problem) == ("failed", "the miner alone left out /a")
    assert not CheatFinding.objects.exists()


def test_a_reported_job_is_repeated_whatever_the_share_is_and_that_decides() -> None:
    liar, honest = completed("false\n", **DECLARED), completed(**DECLARED)
    miner = MinerPeer()
    with running(miner):
        config = settings(miner.port, cross_validation_share=0.0)
        for job in (liar, honest):
            # The trusted job that the user names printed what no other run does.
            proof = completed("other\n", on_trusted_miner=True, **DECLARED)
            findings.record_cheat_report(report(job, proof), config)
            cross_validation.run_due(config)
    verdicts = dict(CheatFinding.objects.values_list("job_uuid", "verdict"))
    assert verdicts == {liar.pk: "proved", honest.pk: "disproved"}


def test_a_trusted_miner_that_is_away_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_connections, "LOGIN_SECONDS", 0.1)
    completed(**DECLARED)
    cross_validation.run_due(settings())
    entry = CrossValidation.objects.get()
    assert (entry.state, "cannot be reached" in entry.problem) == ("waiting", True)


@pytest.mark.parametrize("fields", [{"trusted_miner_address": ""}, {"cross_validation_share": 0.0}])
def test_without_a_trusted_miner_or_a_share_nothing_is_chosen(fields: dict[str, Any]) -> None:
    completed(**DECLARED)
    cross_validation.run_due(settings(**fields))
    assert not CrossValidation.objects.exists()


def test_only_repeatable_jobs_that_ended_lately_are_chosen_each_once() -> None:
    listed, declared = completed(), completed(**DECLARED, docker_image="other")
    completed(docker_image="other")
    completed(**DECLARED, kind=Job.Kind.ADMIN)
    old = completed(**DECLARED)
    long_ago = timezone.now() - 2 * cross_validation.LOOK_BACK
    Job.objects.filter(pk=old.pk).update(state_since=long_ago)
    config = settings(cross_validation_images=["computehorde/*"])
    for _ in range(2):
        cross_validation.choose(config)
    chosen = set(CrossValidation.objects.values_list("job_uuid", flat=True))
    assert chosen == {listed.pk, declared.pk}


def test_the_queue_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_validation, "MAX_WAITING", 2)
    for _ in range(3):
        completed(**DECLARED)
    for _ in range(2):
        cross_validation.choose(settings())
    assert CrossValidation.objects.count() == 2


def test_one_job_is_repeated_at_a_time_and_a_dead_worker_s_is_taken_over() -> None:
    job = completed(**DECLARED)
    running_elsewhere = CrossValidation.objects.create(job_uuid=job.pk, state="running")
    completed(**DECLARED)
    cross_validation.run_due(settings())
    assert CrossValidation.objects.filter(state="waiting").count() == 1
    long_ago = timezone.now() - timedelta(hours=1)
    CrossValidation.objects.filter(pk=running_elsewhere.pk).update(state_since=long_ago)
    miner = MinerPeer()
    with running(miner):
        for _ in range(2):
            cross_validation.run_due(settings(miner.port))
    assert set(CrossValidation.objects.values_list("state", flat=True)) == {"same"}


def test_a_job_that_ends_its_worker_again_and_again_is_given_up() -> None:
    job = completed(**DECLARED)
    entry = CrossValidation.objects.create(
        job_uuid=job.pk, state="running", tries=cross_validation.MAX_TRIES
    )
    long_ago = timezone.now() - timedelta(hours=1)
    CrossValidation.objects.filter(pk=entry.pk).update(state_since=long_ago)
    cross_validation.run_due(settings())
    entry.refresh_from_db()
    assert (entry.state, "did not end it" in entry.problem) == ("failed", True)


def test_an_error_of_our_own_ends_the_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(cross_validation, "_compare", broken)
    completed(**DECLARED)
    cross_validation.run_due(settings())
    entry = CrossValidation.objects.get()
    assert (entry.state, entry.problem) == ("failed", "ZeroDivisionError: ours")


def test_a_job_that_was_deleted_meanwhile_is_not_repeated() -> None:
    CrossValidation.objects.create(job_uuid="6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d")
    cross_validation.run_due(settings())
    assert CrossValidation.objects.get().state == "failed"
