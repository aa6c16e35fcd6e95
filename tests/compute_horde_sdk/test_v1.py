"""The published names are there, with the published parameters, and code written for them runs."""

import dataclasses
import functools
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest

from compute_horde_sdk import v1
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJob, ComputeHordeJobSpec
from tests.compute_horde.vectors import VECTORS
from tests.compute_horde_sdk.pretend import USER, VALIDATOR

PUBLISHED = [
    line
    for line in (Path(__file__).parent / "published_names.txt").read_text().splitlines()
    if not line.startswith("#")
]


def has(owner, name):
    """Whether `owner` has that attribute: also as a field, or set by its constructor."""
    fields = (
        getattr(owner, "model_fields", {}),
        getattr(owner, "__dataclass_fields__", {}),
        inspect.signature(owner).parameters if isinstance(owner, type) else {},
    )
    return hasattr(owner, name) or any(name in known for known in fields)


@pytest.mark.parametrize("dotted", PUBLISHED)
def test_every_published_name_is_there(dotted):
    *owners, name = dotted.split(".")
    owner = functools.reduce(getattr, owners, v1)
    assert has(owner, name)
    assert dotted.split(".")[0] in v1.__all__


def test_all_that_is_announced_is_there():
    assert all(hasattr(v1, name) for name in v1.__all__)
    assert all(hasattr(v1.fallback, name) for name in v1.fallback.__all__)


def test_the_end_states_are_those_after_which_nothing_comes():
    ends = v1.ComputeHordeJobStatus.end_states()
    assert {str(status) for status in ends} == {
        "completed", "failed", "rejected", "horde_failed", "cancelled"
    }  # fmt: skip
    assert not any(status.is_in_progress() for status in ends)


def parameters(function):
    return [
        (p.name, p.default)
        for p in inspect.signature(function).parameters.values()
        if p.name != "self" and p.kind is not p.KEYWORD_ONLY
    ]


REQUIRED = inspect.Parameter.empty


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (
            ComputeHordeClient,
            [
                ("hotkey", REQUIRED),
                ("compute_horde_validator_hotkey", REQUIRED),
                ("job_queue", None),
                ("facilitator_url", "https://facilitator.computehorde.io/"),
            ],
        ),
        (ComputeHordeClient.create_job, [("job_spec", REQUIRED), ("on_trusted_miner", False)]),
        (
            ComputeHordeClient.run_until_complete,
            [
                ("job_spec", REQUIRED),
                ("on_trusted_miner", False),
                ("job_attempt_callback", None),
                ("timeout", None),
                ("max_attempts", 3),
            ],
        ),
        (ComputeHordeClient.get_job, [("job_uuid", REQUIRED)]),
        (ComputeHordeClient.get_jobs, [("page", 1), ("page_size", 10)]),
        (
            ComputeHordeClient.report_cheated_job,
            [("job_uuid", REQUIRED), ("trusted_job_uuid", REQUIRED)],
        ),
        (ComputeHordeJob.wait, [("timeout", None), ("status_callback", None)]),
        (ComputeHordeJob.wait_for_streaming, [("timeout", None)]),
    ],
)
def test_parameters_are_the_published_ones(function, expected):
    assert parameters(function) == expected


def test_a_spec_has_the_published_fields():
    fields = {field.name: field for field in dataclasses.fields(ComputeHordeJobSpec)}
    assert list(fields) == [
        "executor_class",
        "job_namespace",
        "docker_image",
        "download_time_limit_sec",
        "execution_time_limit_sec",
        "upload_time_limit_sec",
        "args",
        "env",
        "artifacts_dir",
        "input_volumes",
        "output_volumes",
        "streaming",
        "streaming_start_time_limit_sec",
    ]
    assert fields["streaming_start_time_limit_sec"].default == 5


def test_executor_classes_are_the_published_ones():
    assert [member.value for member in v1.ExecutorClass] == VECTORS["enums"]["ExecutorClass"]


async def test_a_program_of_the_published_sdk_runs_unchanged(server):
    """Written as such programs are: a wallet's keypair, a spec by keywords, the poll by hand."""

    class WalletKeypair:
        ss58_address = USER.ss58_address

        def sign(self, data: str | bytes) -> bytes:
            return USER.sign(data.encode() if isinstance(data, str) else data)

    wallet = SimpleNamespace(hotkey=WalletKeypair())
    client = v1.ComputeHordeClient(
        hotkey=wallet.hotkey,
        compute_horde_validator_hotkey=VALIDATOR,
        facilitator_url=server.url,
    )
    spec = v1.ComputeHordeJobSpec(
        executor_class=v1.ExecutorClass.always_on__llm__a6000,
        job_namespace="SN123.0",
        docker_image="my-username/my-image:latest",
        args=["--block", "10000"],
        artifacts_dir="/artifacts",
        input_volumes={
            "/volume/version.txt": v1.InlineInputVolume.from_file_contents(
                filename="version.txt", contents=b"2"
            ),
        },
        download_time_limit_sec=5,
        execution_time_limit_sec=10,
        upload_time_limit_sec=5,
    )
    seen = []
    job = await client.run_until_complete(spec, job_attempt_callback=seen.append, max_attempts=1)
    again = await client.get_job(job.uuid)
    assert again.status == "completed" == job.status
    assert again.result.stdout == job.result.stdout == "hi\n"
    assert (again.result.artifacts, again.result.upload_results) == ({}, {})
    assert seen == [job]
    for entry in again.status_history:
        assert entry.metadata is None or entry.metadata.job_rejection_details is None
    await client.aclose()
