"""A job on a cloud machine; a stand-in for SkyPilot runs its very scripts on this one."""

import subprocess
import sys
from enum import Enum
from functools import partial
from types import SimpleNamespace

import pytest

from compute_horde_sdk.fallback import jobs, script, sky
from compute_horde_sdk.fallback.spec import FallbackJobSpec
from compute_horde_sdk.v1 import (
    ComputeHordeError,
    ComputeHordeJobSpec,
    ExecutorClass,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
    fallback,
)

JobStatus = Enum("JobStatus", ["INIT", "RUNNING", "SUCCEEDED", "FAILED", "FAILED_SETUP"])


class ClusterDoesNotExist(ValueError):
    pass


class StandIn:
    """The SkyPilot calls that the SDK uses; a request is a function that returns the answer."""

    exceptions = SimpleNamespace(ClusterDoesNotExist=ClusterDoesNotExist)
    CLOUD_REGISTRY = SimpleNamespace(from_str=str.upper)

    def __init__(self, root):
        self.root = root
        self.clusters = {}
        self.running_polls = 1
        self.resources = self.launched = None

    def Resources(self, **options):
        self.resources = options
        return options

    def Task(self, **options):
        return SimpleNamespace(**options, set_resources=lambda resources: None)

    def get(self, request):
        return request()

    def launch(self, task, **options):
        self.launched = options
        return partial(self._launch, task, options["cluster_name"])

    def _launch(self, task, name):
        ended, log = JobStatus.SUCCEEDED, ""
        for code, failure in ((task.setup, JobStatus.FAILED_SETUP), (task.run, JobStatus.FAILED)):
            here = code.replace("/volume", f"{self.root}/volume").replace(
                "/output", f"{self.root}/output"
            )
            done = subprocess.run(
                ["bash", "-c", here], capture_output=True, text=True, env={**task.envs}, check=False
            )
            # SkyPilot puts a prefix before each line.
            log += "".join(f"(ch-job, pid=7) {line}\n" for line in done.stdout.splitlines())
            if done.returncode:
                ended = failure
                break
        folder = self.root / name
        folder.mkdir()
        (folder / "run.log").write_text(log)
        self.clusters[name] = [JobStatus.RUNNING] * self.running_polls + [ended]

    def _there(self, name):
        if name not in self.clusters:
            raise ClusterDoesNotExist(name)
        return self.clusters[name]

    def job_status(self, name):
        states = self._there(name)
        return lambda: {1: states.pop(0) if len(states) > 1 else states[0]}

    def download_logs(self, name, job_ids):
        self._there(name)
        return {"1": str(self.root / name)}

    def status(self):
        return lambda: [{"name": name} for name in [*self.clusters, "someone-else"]]

    def down(self, name):
        self._there(name)
        return partial(self.clusters.pop, name)


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    stand_in = StandIn(tmp_path)
    monkeypatch.setitem(sys.modules, "sky", stand_in)
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)
    return stand_in


@pytest.fixture
def client(cloud):
    return fallback.FallbackClient("runpod", use_spot=True)


def test_without_skypilot_one_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sky", None)
    with pytest.raises(fallback.FallbackError, match="pip install 'skypilot") as caught:
        fallback.FallbackClient("aws")
    assert isinstance(caught.value, ComputeHordeError)


async def test_a_job_of_the_network_runs_on_a_machine_of_its_own(client, cloud, tmp_path):
    artifacts = tmp_path / "left"
    spec = ComputeHordeJobSpec(
        executor_class=ExecutorClass.always_on__llm__a6000,
        job_namespace="SN1.0",
        docker_image="computehorde/busybox",
        args=["sh", "-c", f"cat /volume/in/a; echo $B >&2; echo x > {artifacts}/f"],
        env={"B": "b c", "PATH": "/usr/bin:/bin"},
        artifacts_dir=str(artifacts),
        input_volumes={"/volume/in": InlineInputVolume.from_file_contents("a", b"in\n")},
    )
    job = await client.run_until_complete(spec, timeout=20)
    assert job.status is fallback.FallbackJobStatus.COMPLETED
    assert job.result == fallback.FallbackJobResult("in\n", "b c\n", {f"{artifacts}/f": b"x\n"})
    assert cloud.resources["cloud"] == "RUNPOD"
    assert cloud.resources["accelerators"] == {"RTXA6000": 1}
    assert cloud.resources["image_id"] == "docker:computehorde/busybox"
    assert cloud.resources["use_spot"] is True
    assert cloud.launched == {
        "cluster_name": f"ch-{job.uuid}",
        "idle_minutes_to_autostop": 15,
        "down": True,
    }


async def test_a_failed_job_is_run_again_and_its_output_kept(client, cloud):
    spec = FallbackJobSpec(run="echo out; exit 3", envs={"PATH": "/usr/bin:/bin"})
    seen = []
    job = await client.run_until_complete(spec, lambda job: seen.append(job.uuid), max_attempts=2)
    assert len(seen) == 2
    assert job.status is fallback.FallbackJobStatus.FAILED
    assert job.result.stdout == "out\n"
    listed = [job.uuid for job in await client.get_jobs()]
    assert listed == seen == [job.uuid async for job in client.iter_jobs()]
    await client.delete_job(seen[0])
    with pytest.raises(fallback.FallbackNotFoundError, match=seen[0]):
        await client.get_job(seen[0])


async def test_a_wait_runs_out(client, cloud):
    cloud.running_polls = 10**6
    job = await client.create_job(FallbackJobSpec(run="true", envs={"PATH": "/bin"}))
    with pytest.raises(fallback.FallbackJobTimeoutError, match="did not complete") as caught:
        await job.wait(0.1)
    assert isinstance(caught.value, TimeoutError)


async def test_streaming_is_refused_before_anything_costs(client, cloud):
    with pytest.raises(fallback.FallbackError, match="ports="):
        await client.create_job(FallbackJobSpec(run="true", streaming=True))
    assert cloud.launched is None
    job = fallback.FallbackJob(client, "u", fallback.FallbackJobStatus.ACCEPTED)
    with pytest.raises(fallback.FallbackError, match="ports="):
        await job.wait_for_streaming()


def test_the_spec_of_the_network_is_taken_over():
    spec = ComputeHordeJobSpec(
        ExecutorClass.always_on__test, "n", "image:1", args=["echo", "a b"], streaming=True
    )
    assert FallbackJobSpec.from_job_spec(spec, cpus="4+", envs={"A": "1"}) == (
        FallbackJobSpec(
            run="echo 'a b'", envs={"A": "1"}, cpus="4+", image_id="docker:image:1", streaming=True
        )
    )


def test_uploads_and_downloads_are_quoted():
    spec = FallbackJobSpec(
        input_volumes={
            "/volume/a b": HTTPInputVolume(url="https://x/?a=1&b='2'"),
            "/volume/hf": HuggingfaceInputVolume(repo_id="o/m", allow_patterns=["*.json"]),
        },
        output_volumes={
            "/output/p": HTTPOutputVolume(http_method="PUT", url="https://x/p&q"),
            "/output/q": HTTPOutputVolume(
                http_method="POST", url="https://x/q", form_fields={"k": "v w"}
            ),
        },
    )
    setup, run = script.setup(spec), script.run(spec)
    assert """curl -fsSL --retry 3 -o '/volume/a b' 'https://x/?a=1&b='"'"'2'"'"''""" in setup
    assert (
        """'{"repo_id": "o/m", "allow_patterns": ["*.json"], "local_dir": "/volume/hf"}'""" in setup
    )
    assert "-T /output/p 'https://x/p&q'" in run
    assert "--form-string 'k=v w' -F file=@/output/q https://x/q" in run


def test_answers_to_uploads_are_read_from_the_log():
    log = "\n".join(
        ["x ch64:headers/cA==:SFRUUC8xLjEgMjAwDQpFVGFnOiAieCINCg==", "x ch64:body/cA==:b2s="]
    )
    answer = script.result(log).upload_results["/output/p"]
    assert (answer.headers, answer.body) == ({"etag": '"x"'}, "ok")


def test_a_log_full_of_noise_is_no_result():
    noise = "ch64:stdout:a\nch64:artifact/!!:eA==\nch64\nch64:stdout:%%"
    assert script.result(noise).stdout == ""


def test_every_state_of_skypilot_has_a_word_here():
    assert set(JobStatus.__members__) <= sky.STATES.keys()
