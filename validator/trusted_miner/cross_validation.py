"""Repeats a share of the users' completed jobs on the trusted miner and compares the results."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from compute_horde.nul_characters import replace_nul
from compute_horde.protocol.job import JobFinished, JobRequested
from compute_horde.vocabulary import JobState, RejectionReason
from validator.config import Config
from validator.jobs.models import Job
from validator.trusted_miner import findings, rules
from validator.trusted_miner.errors import (
    TrustedMinerDeclinedError,
    TrustedMinerError,
    TrustedMinerUnreachableError,
)
from validator.trusted_miner.models import MAX_WAITING, CrossValidation
from validator.trusted_miner.rules import ResultDifference
from validator.trusted_miner.runs import TrustedMiner, run_trusted_job

log = logging.getLogger(__name__)

# Jobs that ended longer ago are not looked at: their inputs may be gone, and after a long stop
# there would be too many.
LOOK_BACK = timedelta(minutes=15)
LOOKED_AT = 5000
MAX_TRIES = 5
# A trusted miner that is busy or away for so long is asked no more. That is no try: users' jobs
# that keep it busy must not end the check of a miner.
MAX_AGE = timedelta(hours=4)
# Added to the time limits of a job: for the start of its executor, twice.
MARGIN = timedelta(minutes=15)

State = CrossValidation.State


def run_due(config: Config) -> None:
    """Choose jobs that ended lately, then repeat the one that has waited longest, if any.

    Nothing happens without a trusted miner, or while another worker repeats a job. With a share of
    0, only jobs that users reported are repeated.
    """
    miner = TrustedMiner.configured(config)
    if miner is None:
        return
    choose(config)
    if job := _claim_next(config):
        _repeat(job, miner, config.cross_validation_images)


def choose(config: Config) -> None:
    """Queue the sampled ones of the jobs that ended lately; at most `MAX_WAITING` wait."""
    if not config.cross_validation_share:
        return
    free = MAX_WAITING - CrossValidation.objects.filter(state=State.WAITING).count()
    secret = config.secret_key.get_secret_value().encode()
    images, longest = config.cross_validation_images, config.cross_validation_max_seconds
    uuids = _ended_lately().order_by("-state_since").values_list("uuid", flat=True)[:LOOKED_AT]
    sampled = [
        uuid for uuid in uuids if rules.is_sampled(str(uuid), secret, config.cross_validation_share)
    ]
    known = set(CrossValidation.objects.filter(pk__in=sampled).values_list("pk", flat=True))
    new = [uuid for uuid in sampled if uuid not in known]
    chosen: list[CrossValidation] = []
    for job in Job.objects.filter(pk__in=new).iterator(chunk_size=10):
        if len(chosen) >= free:
            log.warning("cross-validation is behind: jobs are left out", extra={"left": len(new)})
            break
        if rules.reason_not_to_repeat(job.request, images, longest) is None:
            chosen.append(CrossValidation(job_uuid=job.pk))
    CrossValidation.objects.bulk_create(chosen, ignore_conflicts=True)


def _ended_lately() -> QuerySet[Job]:
    return Job.objects.filter(
        kind=Job.Kind.ORGANIC,
        state=JobState.COMPLETED,
        state_since__gte=timezone.now() - LOOK_BACK,
    )


def _claim_next(config: Config) -> Job | None:
    """The job to repeat now; those whose worker died wait again."""
    now = timezone.now()
    running = CrossValidation.objects.filter(state=State.RUNNING)
    longest = 2 * timedelta(seconds=config.cross_validation_max_seconds) + MARGIN
    lost = running.filter(state_since__lt=now - longest)
    for uuid in lost.filter(tries__gte=MAX_TRIES).values_list("pk", flat=True):
        _end(uuid, State.FAILED, f"the worker did not end it in {MAX_TRIES} tries")
    lost.update(state=State.WAITING, state_since=now)
    if running.exists():
        return None
    waiting = CrossValidation.objects.filter(state=State.WAITING)
    entry = waiting.order_by("tries", "created_at").first()
    if entry is None:
        return None
    claimed = waiting.filter(pk=entry.pk).update(
        state=State.RUNNING, state_since=now, tries=entry.tries + 1
    )
    job = Job.objects.filter(pk=entry.pk).first() if claimed else None
    if claimed and job is None:
        _end(entry.pk, State.FAILED, "the job is not stored any more")
    return job


def _repeat(job: Job, miner: TrustedMiner, images: Collection[str]) -> None:
    result = findings.result_of(job.pk)
    if result is None:
        _end(job.pk, State.FAILED, "the job's result is not stored any more")
        return
    try:
        state, trusted, found = asyncio.run(_compare(job.request, result, miner))
    except (TrustedMinerUnreachableError, TrustedMinerDeclinedError) as exc:
        _wait_again(job.pk, exc)
    except TrustedMinerError as exc:
        _end(job.pk, State.FAILED, str(exc))
    except Exception as exc:
        log.exception("a job could not be repeated", extra={"job": str(job.pk)})
        _end(job.pk, State.FAILED, f"{type(exc).__name__}: {exc}"[:200])
    else:
        _conclude(job, state, trusted, found, images)


def _conclude(
    job: Job,
    state: CrossValidation.State,
    trusted: JobFinished,
    found: Sequence[ResultDifference],
    images: Collection[str],
) -> None:
    """Store what a repetition showed, as a finding where it accuses or clears the miner."""
    problem = "; ".join(one.what for one in found)
    result = findings.result_of(job.pk)
    if state is State.DIFFERS:
        findings.record_difference(job, trusted, found, images)
    elif state is State.SAME and result and (unsent := rules.unsent(result, trusted)):
        state, problem = State.FAILED, f"the miner alone left out {', '.join(unsent)}"
    elif state is State.SAME:
        findings.record_same(job.pk)
    _end(job.pk, state, problem)


def _wait_again(
    uuid: UUID, problem: TrustedMinerUnreachableError | TrustedMinerDeclinedError
) -> None:
    """Let an entry wait again; a miner that refuses it is tried `MAX_TRIES` times in all."""
    entry = CrossValidation.objects.get(pk=uuid)
    is_refused = (
        isinstance(problem, TrustedMinerDeclinedError)
        and problem.reason is not RejectionReason.BUSY
    )
    if not is_refused:
        CrossValidation.objects.filter(pk=uuid).update(tries=entry.tries - 1)
    is_over = (
        entry.tries >= MAX_TRIES if is_refused else timezone.now() - entry.created_at > MAX_AGE
    )
    _end(uuid, State.FAILED if is_over else State.WAITING, str(problem))


async def _compare(
    request: JobRequested, result: JobFinished, miner: TrustedMiner
) -> tuple[CrossValidation.State, JobFinished, list[ResultDifference]]:
    """Repeat a job and compare the results.

    One that differs is repeated once more: where the trusted miner differs from itself, the job is
    not deterministic, whatever was declared, and proves nothing.
    """
    repetition = rules.repetition(request)
    trusted = (await run_trusted_job(repetition, miner)).message
    found = rules.differences(result, trusted)
    if not found:
        return State.SAME, trusted, found
    again = (await run_trusted_job(repetition, miner)).message
    if unstable := rules.differences(again, trusted):
        return State.UNSTABLE, trusted, unstable
    return State.DIFFERS, trusted, found


def _end(uuid: UUID, state: CrossValidation.State, problem: str = "") -> None:
    CrossValidation.objects.filter(pk=uuid, state=State.RUNNING).update(
        state=state, state_since=timezone.now(), problem=replace_nul(problem)[:500]
    )
    log.info(
        "cross-validation", extra={"job": str(uuid), "ended": str(state), "problem": problem[:500]}
    )
