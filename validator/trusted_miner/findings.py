"""Records claims that a miner's result is false, with what this validator knows about them."""

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from compute_horde import volumes
from compute_horde.django.job_record import notify
from compute_horde.errors import BadSignature
from compute_horde.image_names import is_listed
from compute_horde.protocol.job import CheatReported, JobFinished, JobRequested
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.vocabulary import JobState
from validator.config import Config
from validator.jobs.models import Job, JobEvent
from validator.network.manifest_store import CHANNEL
from validator.synthetic.attempts import shortened
from validator.trusted_miner import rules
from validator.trusted_miner.models import (
    MAX_WAITING,
    MAX_WAITING_REPORTS,
    CheatFinding,
    CrossValidation,
)
from validator.trusted_miner.rules import COUNTED, CheatVerdict, ResultDifference

log = logging.getLogger(__name__)

# Of a job's arguments, and of a user's report with its details.
MAX_CHARACTERS = 2**16
MAX_REASON = 500
# An exclusion that is not proved by an image of the operator's needs reports of so many users.
FEWEST_SIGNERS = 2
REASONS = {
    CheatVerdict.BELIEVED: "only the user sees what the jobs uploaded, and is believed",
    CheatVerdict.DISPROVED: "the results of the job and of the trusted job are the same",
    CheatVerdict.UNPROVED: "the results differ, and that alone proves nothing",
}


@dataclass(frozen=True, slots=True)
class ClaimJudgement:
    """The verdict on a claim and why, the differences that were seen and the trusted result."""

    verdict: CheatVerdict
    reason: str
    differences: Sequence[ResultDifference] = ()
    trusted: JobFinished | None = None


def record_cheat_report(report: CheatReported, config: Config) -> None:
    """Record a user's signed report about one of its completed jobs, with a verdict on it.

    The first claim about a job is kept, unless a later one counts and it does not. Where results
    differ that have to be equal, the job is queued for cross-validation, which decides.
    """
    try:
        signatory = report.verify()
    except BadSignature as exc:
        log.warning("cheat report refused", extra={"job": report.job_uuid, "problem": str(exc)})
        return
    job = _accusable(report.job_uuid).filter(signatory=signatory).first()
    if job is None:
        log.warning("cheat report about no completed job", extra={"job": report.job_uuid})
        return
    judgement = _judged(job, report.trusted_job_uuid, signatory)
    if judgement.differences:
        reason = f"{judgement.reason}; {_queued(job, config)}"[:MAX_REASON]
        judgement = replace(judgement, reason=reason)
    _record(
        job,
        CheatFinding.Source.USER,
        judgement,
        images=config.cross_validation_images,
        trusted_job_uuid=report.trusted_job_uuid,
        report=_bounded(report),
    )


def record_difference(
    job: Job,
    trusted: JobFinished,
    differences: Sequence[ResultDifference],
    images: Collection[str],
) -> None:
    """Record that the trusted miner's result of a repeated job is another one.

    `images` are those that the operator lists as deterministic.
    """
    reason = "the trusted miner has another result, twice the same"
    judgement = ClaimJudgement(CheatVerdict.PROVED, reason, differences, trusted)
    _record(
        job,
        CheatFinding.Source.CROSS_VALIDATION,
        judgement,
        images=images,
        trusted_job_uuid=trusted.job_uuid,
    )


def record_same(uuid: UUID) -> None:
    """Record that the repetition of a job disproves what was only claimed about it, if anything."""
    CheatFinding.objects.filter(pk=uuid, verdict=CheatVerdict.UNPROVED).update(
        verdict=CheatVerdict.DISPROVED, reason="another trusted run has the miner's result"
    )


def result_of(uuid: str | UUID) -> JobFinished | None:
    """The result of a completed job; None for other jobs."""
    event = JobEvent.objects.filter(job_id=uuid, state=JobState.COMPLETED).first()
    message = MINER_TO_VALIDATOR.decode(event.body) if event else None
    return message if isinstance(message, JobFinished) else None


def cheated_jobs(since: datetime) -> set[UUID]:
    """The jobs that earn nothing, of those that ended after `since`."""
    found = CheatFinding.objects.filter(created_at__gte=since, verdict__in=COUNTED)
    return set(found.values_list("job_uuid", flat=True))


def distrusted_miners(exclusion: timedelta) -> dict[str, float]:
    """The miners with a false result within `exclusion`, and for how many more seconds.

    It counts from the end of the job. Such a result is proved for an image that the operator lists,
    or users of at least `FEWEST_SIGNERS` signers have reports that count.
    """
    now = timezone.now()
    found = CheatFinding.objects.filter(job_ended_at__gt=now - exclusion, verdict__in=COUNTED)
    until: dict[str, datetime] = {}
    newest = Max("job_ended_at")
    sure = found.filter(verdict=CheatVerdict.PROVED, is_listed_image=True)
    for miner, ended_at in sure.values_list("miner").annotate(newest).order_by():
        until[miner] = ended_at
    by_signers: dict[str, list[datetime]] = defaultdict(list)
    for miner, _, ended_at in found.values_list("miner", "signatory").annotate(newest).order_by():
        by_signers[miner].append(ended_at)
    for miner, ends in by_signers.items():
        if len(ends) >= FEWEST_SIGNERS:
            ended_at = sorted(ends)[-FEWEST_SIGNERS]
            until[miner] = max(until.get(miner, ended_at), ended_at)
    return {miner: (at + exclusion - now).total_seconds() for miner, at in until.items()}


def _accusable(uuid: str) -> QuerySet[Job]:
    return Job.objects.filter(pk=uuid, kind=Job.Kind.ORGANIC, state=JobState.COMPLETED)


def _judged(job: Job, trusted_uuid: str, signatory: str) -> ClaimJudgement:
    """Compare the job with the trusted one that its user names."""
    trusted = Job.objects.filter(
        pk=trusted_uuid, kind=Job.Kind.ORGANIC, signatory=signatory
    ).first()
    result = result_of(trusted_uuid) if trusted else None
    if trusted is None or not trusted.request.on_trusted_miner or result is None:
        return ClaimJudgement(
            CheatVerdict.UNPROVED, "the user has no completed job of this uuid on our trusted miner"
        )
    if not rules.is_same_work(job.request, trusted.request):
        return ClaimJudgement(CheatVerdict.UNPROVED, "the trusted job is another one", (), result)
    if (ours := result_of(job.pk)) is None:
        return ClaimJudgement(CheatVerdict.UNPROVED, "the job's result is not stored", (), result)
    found, unsent = rules.differences(ours, result), rules.unsent(ours, result)
    verdict = rules.verdict_on_report(
        found, unsent, has_uploads=job.request.output_upload is not None
    )
    reason = REASONS[verdict]
    if verdict is CheatVerdict.UNPROVED and not found:
        reason = f"the miner alone left out {', '.join(unsent)}"[:MAX_REASON]
    return ClaimJudgement(verdict, reason, found, result)


def _queued(job: Job, config: Config) -> str:
    """Queue a reported job to be repeated, if that can decide; what becomes of it, in words."""
    if not config.trusted_miner_address:
        return "not repeated: there is no trusted miner"
    images, longest = config.cross_validation_images, config.cross_validation_max_seconds
    if why_not := rules.reason_not_to_repeat(job.request, images, longest):
        return f"not repeated: {why_not}"
    waiting = CrossValidation.objects.filter(state=CrossValidation.State.WAITING)
    reported = CheatFinding.objects.filter(pk__in=waiting.values("pk"), signatory=job.signatory)
    if waiting.count() >= MAX_WAITING or reported.count() >= MAX_WAITING_REPORTS:
        return "not repeated: too many jobs wait for that"
    CrossValidation.objects.bulk_create([CrossValidation(job_uuid=job.pk)], ignore_conflicts=True)
    return "cross-validation repeats the job and decides"


def _record(
    job: Job,
    source: CheatFinding.Source,
    judgement: ClaimJudgement,
    *,
    images: Collection[str],
    trusted_job_uuid: str,
    report: str = "",
) -> None:
    result = result_of(job.pk)
    fields: dict[str, Any] = {
        "source": source,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "miner": job.miner,
        "executor_class": job.executor_class,
        "is_listed_image": is_listed(job.request.docker_image, images),
        "job_ended_at": job.state_since,
        "signatory": job.signatory,
        "trusted_job_uuid": trusted_job_uuid,
        "differences": json.dumps([one.as_json() for one in judgement.differences]),
        "request": _described(job.request),
        "miner_result": shortened(result).encode() if result else "",
        "trusted_result": shortened(judgement.trusted).encode() if judgement.trusted else "",
    }
    if report:
        fields["report"] = report
    with transaction.atomic():
        finding, is_new = CheatFinding.objects.get_or_create(job_uuid=job.pk, defaults=fields)
        is_stronger = judgement.verdict in COUNTED and not finding.counts
        is_proof = (
            judgement.verdict is CheatVerdict.PROVED and finding.verdict != CheatVerdict.PROVED
        )
        if not is_new and (is_stronger or is_proof):
            is_new = bool(CheatFinding.objects.filter(pk=job.pk).update(**fields))
        unmarked = Job.objects.filter(pk=job.pk, cheat_reported_at=None)
        unmarked.update(cheat_reported_at=timezone.now())
        # The listener offers no further jobs to the miner.
        notify(CHANNEL)
    if is_new:
        log.warning(
            "cheat reported",
            extra={
                "job": str(job.pk),
                "miner": job.miner,
                "by": str(source),
                "verdict": str(judgement.verdict),
                "why": judgement.reason,
            },
        )


def _described(job: JobRequested) -> str:
    """The job as JSON, with names and digests in place of what may be secret or large."""
    shown = job.model_dump(
        mode="json",
        exclude={"signature", "binding", "env", "volume", "output_upload", "streaming_details"},
    )
    shown["env"] = sorted(job.env)
    shown["volume"] = [
        {
            "volume_type": one.volume_type,
            "relative_path": one.relative_path,
            "sha256": hashlib.sha256(one.model_dump_json().encode()).hexdigest(),
        }
        for one in volumes.simple_volumes(job.volume)
    ]
    return json.dumps(shown)[:MAX_CHARACTERS]


def _bounded(report: CheatReported) -> str:
    """The user's report as it was signed; without its details when they are too long."""
    text = report.encode()
    if len(text) <= MAX_CHARACTERS:
        return text
    note = f"left out: the report has {len(text)} characters"
    return report.model_copy(update={"details": note}).encode()
