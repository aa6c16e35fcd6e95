"""A server of S3 with both buckets, and a pipeline of a few short prompts."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from tests.peers import s3_server
from tests.peers.llm_executor import run_trusted
from tests.validator.conftest import configured
from validator.config import Config
from validator.llm.buckets import open_buckets
from validator.llm.policy import LlmPolicy
from validator.llm.trusted_work import PipelineTools
from validator.synthetic.kinds.choices import KindChoice

SMALL: dict[str, Any] = {
    "prompts_per_series": 4,
    "prompt_tokens": 4,
    "series_per_run": 3,
    "most_series": 3,
    "ready_samples": 3,
    "checked_prompts": 4,
    "prompts_per_workload": 12,
    "answer_tokens": 6,
}


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server of S3."""
    with s3_server.running() as address:
        yield address


def settings(endpoint: str, **policy: Any) -> Config:
    """The settings of a validator whose test class is tested by `llm`."""
    return configured(
        llm=LlmPolicy(**(SMALL | policy)),
        batch_kinds={"always_on.test": [KindChoice(kind="llm")]},
        s3_bucket_name_prompts="prompts",
        s3_bucket_name_answers="answers",
        aws_access_key_id="key",
        aws_secret_access_key=SecretStr("secret"),
        aws_region="us-east-1",
        aws_endpoint_url=endpoint,
    )


@pytest.fixture
def llm_config(s3: str) -> Config:
    return settings(s3)


@pytest.fixture
def tools(llm_config: Config) -> PipelineTools:
    """The tools of the pipeline, with programs instead of a trusted miner."""
    return PipelineTools(llm_config.llm, open_buckets(llm_config.bucket_access), run_trusted)
