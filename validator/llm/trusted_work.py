"""What the steps of the pipeline share: buckets, policy, and jobs on the trusted miner."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from compute_horde.uploads import FilePut, MultiUpload
from compute_horde.volumes import MultiVolume, SimpleVolume
from validator.config import Config
from validator.llm.buckets import Buckets, open_buckets
from validator.llm.policy import LlmPolicy
from validator.trusted_miner.runs import TrustedJob, TrustedMiner, TrustedResult, run_trusted_job

WEIGHTS_FOLDER = "weights"
DOWNLOAD_SECONDS = 60
# Weights may be large, and the miner keeps them between jobs.
WEIGHTS_SECONDS = 600
UPLOAD_SECONDS = 60
# How long a trusted miner may be busy with other jobs.
BUSY_SECONDS = 20.0

RunJob = Callable[[TrustedJob], TrustedResult]


@dataclass(frozen=True, slots=True)
class PipelineTools:
    """What a step works with; `run_job` blocks until the trusted miner's result is there."""

    policy: LlmPolicy
    buckets: Buckets
    run_job: RunJob


def tools(config: Config) -> PipelineTools:
    """The tools by the settings; raises `BucketError` when the buckets are not set."""
    miner = TrustedMiner.configured(config)

    def run_job(job: TrustedJob) -> TrustedResult:
        return asyncio.run(run_trusted_job(job, miner, busy_seconds=BUSY_SECONDS))

    return PipelineTools(config.llm, open_buckets(config.bucket_access), run_job)


def job(
    policy: LlmPolicy,
    image: str,
    args: list[str],
    seconds: int,
    *,
    inputs: list[SimpleVolume],
    outputs: list[FilePut],
) -> TrustedJob:
    """A job of the pipeline: its inputs and the weights are volumes, its outputs are uploaded."""
    volumes = [*inputs]
    if policy.weights:
        volumes.append(policy.weights.model_copy(update={"relative_path": WEIGHTS_FOLDER}))
    download_seconds = WEIGHTS_SECONDS if policy.weights else DOWNLOAD_SECONDS
    return TrustedJob(
        image=image,
        executor_class=policy.executor_class,
        args=args,
        execution_seconds=seconds,
        volume=MultiVolume(volumes=volumes) if volumes else None,
        output_upload=MultiUpload(uploads=outputs),
        download_seconds=download_seconds if volumes else 0,
        upload_seconds=UPLOAD_SECONDS,
    )
