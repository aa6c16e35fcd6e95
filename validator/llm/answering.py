"""The step `answering`: has workloads answered on the trusted miner."""

import logging
from collections.abc import Callable
from time import monotonic

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from compute_horde.uploads import FilePut
from compute_horde.volumes import SingleFileVolume
from validator.llm import trusted_work
from validator.llm.models import Prompt, SolveWorkload
from validator.llm.programs.answer_file import (
    MAX_BYTES,
    MAX_TRACE_BYTES,
    BadFileError,
    read_answers,
    read_trace,
)
from validator.llm.trusted_work import PipelineTools
from validator.trusted_miner.errors import (
    TrustedMinerDeclinedError,
    TrustedMinerNotConfiguredError,
    TrustedMinerUnreachableError,
)

log = logging.getLogger(__name__)

# A workload that fails so often is dropped; its series are sampled again.
MOST_TRIES = 5
NOT_TRIED = (
    TrustedMinerDeclinedError,
    TrustedMinerNotConfiguredError,
    TrustedMinerUnreachableError,
)


def answer(tools: PipelineTools, clock: Callable[[], float] = monotonic) -> str:
    """Answer workloads while there is time for another one; returns what was done.

    Raises:
        BucketError: a bucket could not be used.
        TrustedMinerError: the job could not be run on the trusted miner.
        BadFileError: an answer is missing, or the files are not what they should be.
    """
    began, answered = clock(), 0
    for workload in SolveWorkload.objects.filter(finished_at=None).order_by("tries", "created_at"):
        used = clock() - began
        if answered and used + used / answered > tools.policy.run_seconds:
            break
        try:
            _answer(tools, workload)
        except Exception as exc:
            _note_failure(workload, exc)
            raise
        answered += 1
    left = SolveWorkload.objects.filter(finished_at=None).count()
    return f"{answered} workloads answered, {left} left"


def _answer(tools: PipelineTools, workload: SolveWorkload) -> None:
    policy, bucket = tools.policy, tools.buckets.answers
    seconds = policy.url_seconds
    names = {key: key.rpartition("/")[2] for key in (workload.answers_key, workload.trace_key)}
    inputs = [
        SingleFileVolume(url=bucket.url_to_get(key, seconds), relative_path=key)
        for key in (workload.key, workload.seeds_key)
    ]
    outputs = [
        FilePut(url=bucket.url_to_put(key, seconds), relative_path=name)
        for key, name in names.items()
    ]
    args = [
        *workload.arguments,
        f"--seeds=/volume/{workload.seeds_key}",
        f"--trace={policy.trace_candidates}",
        f"/volume/{workload.key}",
    ]
    tools.run_job(
        trusted_work.job(
            policy,
            workload.image,
            args,
            policy.solving_seconds,
            inputs=[*inputs],
            outputs=outputs,
        )
    )
    answers = read_answers(bucket.get(workload.answers_key, MAX_BYTES))
    is_deterministic, traces = read_trace(bucket.get(workload.trace_key, MAX_TRACE_BYTES))
    _store(workload, answers, traces, is_deterministic=is_deterministic)
    bucket.delete([workload.seeds_key, workload.key, *names])


def _store(
    workload: SolveWorkload,
    answers: dict[str, str],
    traces: dict[str, list[list[tuple[str, float]]]],
    *,
    is_deterministic: bool,
) -> None:
    prompts = list(Prompt.objects.filter(sample__workload=workload))
    for prompt in prompts:
        prompt.answer = answers.get(prompt.content)
        prompt.trace = None if is_deterministic else traces.get(prompt.content)
        if prompt.answer is None or "\0" in prompt.answer:
            raise BadFileError(f"the trusted miner gave no answer to {prompt.content[:80]!r}")
        if not is_deterministic and not prompt.trace:
            raise BadFileError(
                f"{workload.image} does not declare itself deterministic and records no trace, so "
                "its answers cannot be compared; declare it (`--deterministic`) if it is"
            )
    with transaction.atomic():
        Prompt.objects.bulk_update(prompts, ["answer", "trace"], batch_size=200)
        workload.finished_at = timezone.now()
        workload.is_deterministic = is_deterministic
        workload.problem = ""
        workload.save()


def _note_failure(workload: SolveWorkload, error: Exception) -> None:
    """Keep why a workload was not answered; drop it after the last try.

    A trusted miner that is busy with users' jobs, or away, has not tried it.
    """
    problem = f"{type(error).__name__}: {error}"[:500]
    if isinstance(error, NOT_TRIED):
        SolveWorkload.objects.filter(pk=workload.pk).update(problem=problem)
        return
    if workload.tries + 1 >= MOST_TRIES:
        log.error("workload dropped after its last try", extra={"workload": str(workload.uuid)})
        workload.delete()
        return
    SolveWorkload.objects.filter(pk=workload.pk).update(tries=F("tries") + 1, problem=problem)
