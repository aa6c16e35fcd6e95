"""The specification of a job's container; other tests run it on the engine."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compute_horde.errors import JobError
from compute_horde.faults import JobCause
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import GpuPreset
from executor.config import GIB
from executor.sandbox import container_spec
from executor.sandbox.engine import Image
from tests.peers.executors_miner import payload

GPU = ExecutorClass.always_on__gpu_24gb


def image(**changes):
    plain = {"id": "sha256:1", "digest": "", "user": "", "env": (), "labels": {}, "volumes": ()}
    return Image(**(plain | changes))


def order(work, config, asked=None, *, uid=0, of=None):
    asked = asked or payload("x", "echo", "hi")
    return container_spec.job_container_spec(
        asked, of or image(), work, config, executor_id="e1", uid=uid
    )


def test_a_plain_job_is_confined(work, config):
    made = order(work, config.model_copy(update={"memory_bytes": 2 * GIB, "cpus": 0.5}))
    assert (made.name, made.image, made.command) == ("horde-e1-job", "sha256:1", ["echo", "hi"])
    assert made.user == "65534:65534"
    assert made.labels == {
        "compute_horde.executor": "e1",
        "compute_horde.owner": config.owner,
    }
    file = 16 * GIB + 2**20
    tmpfs = f"rw,nosuid,nodev,exec,mode=1777,size={2 * GIB}"
    assert made.host == {
        "NetworkMode": "none",
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": 4096,
        "Memory": 2 * GIB,
        "MemorySwap": 2 * GIB,
        "OomScoreAdj": 1000,
        "NanoCpus": 500_000_000,
        "ShmSize": GIB,
        "Ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "fsize", "Soft": file, "Hard": file},
        ],
        "LogConfig": {"Type": "none", "Config": {}},
        "Binds": [f"{work.path}/{name}:/{name}" for name in ("volume", "output", "specs")],
        "Tmpfs": {"/tmp": tmpfs, "/var/tmp": tmpfs, "/run": tmpfs},
        "ReadonlyRootfs": True,
    }


@pytest.mark.parametrize(
    ("named", "set_to", "uid", "expected"),
    [
        ("", None, 0, "65534:65534"),
        ("1000:1000", None, 0, "1000:1000"),
        ("0", None, 0, "0"),
        ("0", "65534", 0, "65534"),
        ("0", None, 1234, "1234"),
        ("", "5:5", 1234, "5:5"),
    ],
)
def test_the_user_is_never_root_unless_the_image_says_so(config, named, set_to, uid, expected):
    settings = config.model_copy(update={"job_user": set_to})
    assert container_spec.user_of(image(user=named), settings, uid=uid) == expected


def test_the_environment_is_the_job_s_own_in_its_order():
    asked = {"B": "2", "A": "x=1"}
    assert container_spec.environment(asked, image(), "65534:65534") == [
        "B=2",
        "A=x=1",
        "HOME=/tmp",
    ]
    assert container_spec.environment({"HOME": "/h"}, image(), "65534") == ["HOME=/h"]
    assert container_spec.environment({}, image(env=("HOME=/h",)), "65534") == []
    assert container_spec.environment({}, image(user="0"), "0") == []


@pytest.mark.parametrize("path", ["/artifacts", "/artifacts/", "/a/b", "/tmp/x", "/output/x"])
def test_an_artifacts_dir_may_be_almost_anywhere(path):
    assert container_spec.checked_artifacts_dir(path) == path.rstrip("/")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "//", "artifacts", "../x", "/a/../../etc", "/a//b", "/a:/b", "/a\0b"),
        *("/proc", "/proc/self", "/sys/fs", "/dev", "/dev/shm", "/volume", "/output/", "/specs"),
    ],
)
def test_an_artifacts_dir_over_something_else_is_the_job_s_fault(path):
    with pytest.raises(JobError, match="artifacts_dir") as caught:
        container_spec.checked_artifacts_dir(path)
    assert caught.value.context == JobCause.NOT_STARTED.context


@pytest.mark.parametrize("path", [None, ""])
def test_a_job_without_artifacts_has_no_mount_for_them(work, config, path):
    made = order(work, config, payload("x", artifacts_dir=path))
    assert len(made.host["Binds"]) == 3


def test_artifacts_are_mounted_also_over_a_scratch_path(work, config):
    made = order(work, config, payload("x", artifacts_dir="/tmp/"))
    assert f"{work.artifacts}:/tmp" in made.host["Binds"]
    assert "/tmp" not in made.host["Tmpfs"]


def test_volumes_of_the_image_are_kept_off_the_disk(work, config):
    assert "/data" in order(work, config, of=image(volumes=("/data/",))).host["Tmpfs"]


def test_volumes_of_the_image_are_kept_off_the_disk_beside_a_writable_root(work, config):
    asks = image(labels={container_spec.WRITABLE_ROOT_LABEL: "writable"}, volumes=("/data",))
    assert list(order(work, config, of=asks).host["Tmpfs"]) == ["/data"]


def test_a_writable_root_must_be_asked_for(work, config):
    by_label = order(work, config, of=image(labels={"compute_horde.rootfs": "writable"}))
    by_setting = order(work, config.model_copy(update={"writable_root": True}))
    for made in (by_label, by_setting):
        assert made.host["ReadonlyRootfs"] is False
        assert made.host["Tmpfs"] == {}


@pytest.mark.parametrize("preset", GpuPreset)
@pytest.mark.parametrize("executor_class", [GPU, ExecutorClass.always_on__test])
def test_gpus_are_shared_only_by_a_class_that_has_them(work, config, preset, executor_class):
    asked = payload("x", docker_run_options_preset=preset, executor_class=executor_class)
    host = order(work, config, asked).host
    if preset is GpuPreset.NVIDIA_ALL and executor_class is GPU:
        gpus = [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]
        assert (host["Runtime"], host["DeviceRequests"]) == ("nvidia", gpus)
    else:
        assert "DeviceRequests" not in host
        assert "Runtime" not in host


def test_other_jobs_run_with_the_runtime_that_was_asked_for(work, config):
    gvisor = config.model_copy(update={"job_runtime": "runsc"})
    assert order(work, gvisor).host["Runtime"] == "runsc"
    asked = payload("x", docker_run_options_preset=GpuPreset.NVIDIA_ALL, executor_class=GPU)
    assert order(work, gvisor, asked).host["Runtime"] == "nvidia"


def test_no_more_processors_are_asked_for_than_there_are(work, config):
    asked = payload("x", executor_class=ExecutorClass.always_on__cpu__8c__16gb)
    wanted = order(work, config, asked).host.get("NanoCpus")
    assert wanted == (8 * 10**9 if config.processors() > 8 else None)


def test_open_files_and_a_quota_of_the_root_are_bounded_when_asked_for(work, config):
    asked = config.model_copy(
        update={"open_files": 999, "root_quota": True, "writable_root": True, "disk_max_bytes": 77}
    )
    host = order(work, asked).host
    assert {"Name": "nofile", "Soft": 999, "Hard": 999} in host["Ulimits"]
    assert host["StorageOpt"] == {"size": "77"}
    on_a_read_only_root = asked.model_copy(update={"writable_root": False})
    assert "StorageOpt" not in order(work, on_a_read_only_root).host


def test_an_old_script_runs_with_python(work, config):
    made = order(work, config, payload("x", raw_script="print(1)"))
    assert made.command == ["python", "/script.py"]
    assert f"{work.path}/script.py:/script.py" in made.host["Binds"]


def test_loader_variables_of_an_image_do_not_reach_the_hooks_of_a_gpu(work, config):
    variables = ("LD_PRELOAD=/x.so", "LD_LIBRARY_PATH=/lib", "PATH=/bin")
    asked = payload("x", "true", executor_class=GPU, docker_run_options_preset="nvidia_all")
    made = order(work, config, asked, of=image(env=variables))
    assert {"LD_PRELOAD=", "LD_LIBRARY_PATH="} <= set(made.env)
    assert not any(
        one.startswith("LD_") for one in order(work, config, of=image(env=variables)).env
    )
    hooked = config.model_copy(update={"job_runtime": "nvidia"})
    assert "LD_PRELOAD=" in order(work, hooked, of=image(env=variables)).env
    with pytest.raises(JobError, match="may not set LD_AUDIT"):
        order(work, config, asked.model_copy(update={"env": {"LD_AUDIT": "/x.so"}}))


LOADED = ("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "LD_DEBUG_OUTPUT", "GCONV_PATH")


@given(
    st.dictionaries(
        st.builds(
            "{}{}{}".format,
            st.sampled_from(("", " ", "\0", "=")),
            st.sampled_from((*LOADED, "OTHER")),
            st.sampled_from(("", "=/x.so ", "=", "\0", " ", "=x=y")),
        ),
        st.sampled_from(("", "/x.so", "=x")),
        max_size=3,
    ),
    st.sets(st.sampled_from([f"{name}=/x.so" for name in LOADED])),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_spelling_of_a_loader_variable_reaches_the_hooks_of_a_gpu(work, config, env, in_image):
    asked = payload("x", "true", executor_class=GPU, docker_run_options_preset="nvidia_all")
    try:
        made = order(
            work, config, asked.model_copy(update={"env": env}), of=image(env=(*in_image,))
        )
    except JobError:
        return
    # As an engine reads it: an entry of the image stays unless the container has its name.
    names = {one.partition("=")[0] for one in made.env}
    seen = [*made.env, *(one for one in in_image if one.partition("=")[0] not in names)]
    for entry in seen:
        name, _, value = entry.partition("=")
        assert name not in LOADED or not value
