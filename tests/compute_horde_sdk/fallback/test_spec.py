"""A job of the network becomes a job on a cloud machine."""

import shlex
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.hardware import ExecutorClass
from compute_horde_sdk.fallback.spec import ACCELERATORS, FallbackJobSpec
from compute_horde_sdk.job_spec import ComputeHordeJobSpec
from compute_horde_sdk.volumes import HTTPInputVolume, HTTPOutputVolume


def of(executor_class=ExecutorClass.always_on__test, **more):
    return ComputeHordeJobSpec(executor_class, "SN1.0", "image:1", **more)


@given(st.lists(st.text(), min_size=1))
def test_arguments_reach_the_shell_as_they_are(args):
    assert shlex.split(FallbackJobSpec.from_job_spec(of(args=args)).run) == args


def test_paths_become_text():
    source, target = (
        HTTPInputVolume(url="http://x/i"),
        HTTPOutputVolume(http_method="PUT", url="http://x/o"),
    )
    spec = FallbackJobSpec.from_job_spec(
        of(
            artifacts_dir=PurePosixPath("/artifacts"),
            input_volumes={PurePosixPath("/volume/i"): source},
            output_volumes={PurePosixPath("/output/o"): target},
            env={"A": "b"},
        )
    )
    assert spec.artifacts_dir == "/artifacts"
    assert spec.input_volumes == {"/volume/i": source}
    assert spec.output_volumes == {"/output/o": target}
    assert spec.envs == {"A": "b"}


def test_what_the_job_does_not_have_is_absent():
    spec = FallbackJobSpec.from_job_spec(of(input_volumes={}))
    assert spec.input_volumes is spec.output_volumes is spec.artifacts_dir is None
    assert (spec.image_id, spec.streaming) == ("docker:image:1", False)


@pytest.mark.parametrize("executor_class", list(ExecutorClass))
def test_the_machine_has_the_gpu_of_the_class(executor_class):
    spec = FallbackJobSpec.from_job_spec(of(executor_class))
    is_gpu = "gpu" in executor_class or "a6000" in executor_class
    assert bool(spec.accelerators) is is_gpu
    assert spec.accelerators == ACCELERATORS.get(executor_class)
    # The class may also be given as its text.
    assert FallbackJobSpec.from_job_spec(of(str(executor_class))) == spec


def test_fields_of_the_machine_are_added_and_replace_those_of_the_job():
    spec = FallbackJobSpec.from_job_spec(of(args=["a"]), run="b", region="eu", accelerators="A100")
    assert (spec.run, spec.region, spec.accelerators) == ("b", "eu", "A100")
    with pytest.raises(TypeError, match="colour"):
        FallbackJobSpec.from_job_spec(of(), colour="red")
