"""Records claims that a miner's result is false, with what this validator knows about them."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from compute_horde import volumes
from compute_horde.django.job_record import notify
from compute_horde.errors import BadSignature
from compute_horde.protocol.job import CheatReported, JobFinished, JobRequested
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.vocabulary import JobState
from validator.jobs.models import Job, JobEvent
from validator.network.manifest_store import CHANNEL
from validator.synthetic.attempts import shortened
from validator.trusted_miner import rules
from validator.trusted_miner.models import CheatFinding
from validator.trusted_miner.rules import COUNTED, CheatVerdict, ResultDifference

log = logging.getLogger(__name__)

# Of a job's arguments, and of a user's report with its details.
MAX_CHARACTERS = 2**16
REASONS = {
    CheatVerdict.PROVED: "the results of the job and of the trusted job differ",
    CheatVerdict.BELIEVED: "only the user sees what the jobs uploaded, and is believed",
    CheatVerdict.DISPROVED: "the results of the job and of the trusted job are the same",
}


@dataclass(frozen=True, slots=True)
class ClaimJudgement:
    """The verdict on a claim and why, the differences that were seen and the trusted result."""

    verdict: CheatVerdict
    reason: str
    differences: Sequence[ResultDifference] = ()
    trusted: JobFinished | None = None


def record_cheat_report(report: CheatReported) -> None:
    """Record a user's signed report about one of its completed jobs, with a verdict on it.

    The first claim about a job is kept, unless a later one counts and it does not.
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
    _record(
        job,
        CheatFinding.Source.USER,
        _judged(job, report.trusted_job_uuid, signatory),
        trusted_job_uuid=report.trusted_job_uuid,
        report=_bounded(report),
    )


def record_difference(
    job: Job, trusted: JobFinished, differences: Sequence[ResultDifference]
) -> None:
    """Record that the trusted miner's result of a repeated job is another one."""
    reason = "the trusted miner has another result, twice the same"
    judgement = ClaimJudgement(CheatVerdict.PROVED, reason, differences, trusted)
    _record(job, CheatFinding.Source.CROSS_VALIDATION, judgement, trusted_job_uuid=trusted.job_uuid)


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
    """The miners with a false result within `exclusion`, and for how many more seconds."""
    now = timezone.now()
    found = CheatFinding.objects.filter(created_at__gt=now - exclusion, verdict__in=COUNTED)
    newest = found.values_list("miner").annotate(Max("created_at")).order_by()
    return {miner: (at + exclusion - now).total_seconds() for miner, at in newest}


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
    found = rules.differences(ours, result)
    verdict = rules.verdict_on_report(found, has_uploads=job.request.output_upload is not None)
    return ClaimJudgement(verdict, REASONS[verdict], found, result)


def _record(
    job: Job,
    source: CheatFinding.Source,
    judgement: ClaimJudgement,
    *,
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
        "signatory": job.signatory,
        "trusted_job_uuid": trusted_job_uuid,
        "differences": json.dumps([one.as_json() for one in judgement.differences]),
        "request": _described(job.request),
        "miner_result": shortened(result).encode() if result else "",
        "trusted_result": shortened(judgement.trusted).encode() if judgement.trusted else "",
        "report": report,
    }
    with transaction.atomic():
        finding, is_new = CheatFinding.objects.get_or_create(job_uuid=job.pk, defaults=fields)
        if not is_new and not finding.counts and judgement.verdict in COUNTED:
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
