"""Jobs of the pipeline on the trusted miner."""

import pytest

from compute_horde.uploads import FilePut
from compute_horde.volumes import HuggingfaceVolume, MultiVolume, SingleFileVolume
from tests.validator.conftest import configured
from validator.llm import trusted_work
from validator.llm.policy import LlmPolicy
from validator.trusted_miner.errors import TrustedMinerNotConfiguredError

OUT = FilePut(url="http://out", relative_path="a.txt")
IN = SingleFileVolume(url="http://in", relative_path="b.txt")


def test_weights_are_one_more_volume() -> None:
    weights = HuggingfaceVolume(repo_id="org/model", revision="main")
    job = trusted_work.job(
        LlmPolicy(weights=weights), "image", ["x"], 5, inputs=[IN], outputs=[OUT]
    )
    placed = weights.model_copy(update={"relative_path": "weights"})
    assert job.volume == MultiVolume(volumes=[IN, placed])
    assert (job.execution_seconds, job.download_seconds) == (5, trusted_work.WEIGHTS_SECONDS)


def test_a_job_without_inputs_downloads_nothing() -> None:
    job = trusted_work.job(LlmPolicy(), "image", ["x"], 5, inputs=[], outputs=[OUT])
    assert (job.volume, job.download_seconds) == (None, 0)
    assert job.executor_class == "always_on.llm.a6000"


def test_without_a_trusted_miner_a_job_says_what_to_set() -> None:
    names = {"s3_bucket_name_prompts": "p", "s3_bucket_name_answers": "a"}
    made = trusted_work.tools(configured(**names, aws_region="us-east-1"))
    job = trusted_work.job(LlmPolicy(), "image", [], 5, inputs=[], outputs=[OUT])
    with pytest.raises(TrustedMinerNotConfiguredError, match="TRUSTED_MINER_ADDRESS"):
        made.run_job(job)
