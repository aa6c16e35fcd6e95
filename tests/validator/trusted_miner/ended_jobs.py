"""Users' jobs that have ended, as they are stored."""

import time
from typing import Any

from compute_horde import signing
from compute_horde.protocol.job import CheatReported, JobFinished
from compute_horde.vocabulary import JobState, Party, SignatureScope
from tests.peers.keys import USER
from tests.peers.miner import result
from tests.peers.user import request
from validator.jobs.live_job import LiveJob
from validator.jobs.models import Job, JobEvent


def completed(
    stdout: str = "hi\n",
    *,
    state: JobState = JobState.COMPLETED,
    kind: Job.Kind = Job.Kind.ORGANIC,
    finished: dict[str, Any] | None = None,
    **fields: Any,
) -> Job:
    """A user's job that printed this; `fields` are those of its request."""
    row = LiveJob(request(**fields), kind).row(None)
    row.state, row.miner = state, "5Miner"
    row.save(force_insert=True)
    body = result(str(row.pk), stdout, **finished or {}).encode()
    JobEvent.objects.create(job=row, state=state, body=body, said_by=Party.MINER)
    return Job.objects.get(pk=row.pk)


def printed(uuid: str, stdout: str) -> JobFinished:
    """The trusted miner's result of a job."""
    return result(uuid, stdout)


def report(
    job: Job, trusted: Job | str, signer=USER, *, details: Any = None, is_text: bool = True
) -> CheatReported:
    """A user's report; signed as a text, as the SDK does, or as an object."""
    uuid = trusted if isinstance(trusted, str) else str(trusted.pk)
    fields = {"job_uuid": str(job.pk), "trusted_job_uuid": uuid, "details": details}
    text, plain = signing.cheat_report_payloads(fields)
    signature = signing.sign_request(
        signer,
        text if is_text else plain,
        timestamp_ns=time.time_ns(),
        scope=SignatureScope.FULL_REQUEST,
    )
    return CheatReported(signature=signature, **fields)
