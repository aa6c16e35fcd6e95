"""Input of an image and a job for the engine is checked before it is passed on."""

import subprocess
import time

import pytest

from compute_horde.errors import JobError
from compute_horde.protocol.job import JobFinished
from executor.sandbox import engine_inputs
from tests.executor.sandbox.test_container_spec import image
from tests.executor.tiny_images import imported
from tests.peers.executors_miner import offer, payload

LONG = "x" * 131_000


def check(*command, env=None, user="0:0", **of_image):
    return engine_inputs.check(image(**of_image), command, env or {}, user=user)


def test_ordinary_images_and_jobs_pass():
    assert check("python", "-c", "x" * 100_000, env={"A": "x" * 100_000}) is None
    assert check("x" * 100_000, entrypoint=("python",), env={"A": "b"}) is None
    assert check(command=("sh",), volumes=("/data",), labels={"a": "b"}, ports=("80/tcp",)) is None


@pytest.mark.parametrize(
    ("command", "of_image", "why"),
    [
        (["x" * 4096], {}, "the program's name is longer than 4095 bytes"),
        ([], {"command": ("x" * 4096,)}, "the program's name is longer"),
        (["hi"], {"entrypoint": ("x" * 4096,)}, "the program's name is longer"),
        ([], {"entrypoint": ("sh", "x" * 131_072)}, "an entry of args is longer"),
        ([], {"working_dir": ("/" + "x" * 250) * 9}, "working directory is longer than 2048 bytes"),
        ([], {"working_dir": "/" + "x" * 256}, "a path has a part of more than 255 bytes"),
        ([], {"volumes": ("/x" * 128,)}, "a path has more than 128 parts"),
        ([], {"user": "x" * 4096}, "the user's name is longer than 4095 bytes"),
        ([], {"env": ("A=" + "x" * 131_072,)}, "an entry of the image's environment is longer"),
        ([], {"env": ("A=",) * 1025}, "the image's environment has more than 1024 entries"),
        ([], {"labels": {str(n): "" for n in range(1025)}}, "the image's labels has more than"),
        ([], {"labels": {"a": "x" * 65_536}}, "an entry of the image's labels is longer"),
        (
            [],
            {"labels": {str(n): "x" * 60_000 for n in range(20)}},
            "the image's labels take more than 1048576 bytes together",
        ),
        ([], {"volumes": tuple(f"/{n}" for n in range(65))}, "list of volumes has more than 64"),
        ([], {"volumes": ("/" + "x" * 4095,)}, "an entry of the image's list of volumes is longer"),
        ([], {"ports": tuple(f"{n}/tcp" for n in range(1025))}, "list of ports has more than"),
        (["a\0b"], {}, "variable holds a NUL"),
        (
            ["sh", *["x" * 131_000] * 5],
            {"env": tuple(f"{n}={'x' * 131_000}" for n in range(5))},
            "bytes together",
        ),
    ],
)
def test_what_engines_cannot_be_given_is_the_fault_of_the_job(command, of_image, why):
    made = image(**of_image)
    with pytest.raises(JobError, match=why):
        engine_inputs.check(made, command, {}, user=made.user)


@pytest.mark.docker
async def test_what_an_image_checks_about_itself_is_never_run(does):
    """HEALTHCHECK of an image, compared with a container that is created without the executor."""
    checked = imported(
        "executor-tests/checked:1", "HEALTHCHECK --interval=1s CMD echo checked >/tmp/checked"
    )
    begun = time.monotonic()
    seen = "until ls /tmp/checked; do sleep 0.1; done"
    plain = ["docker", "run", "--rm", "--network=none", checked, "sh", "-c", seen]
    subprocess.run(plain, check=True, capture_output=True, timeout=90)
    enough = time.monotonic() - begun + 1
    miner = await does(
        offer(checked), payload(checked, "sh", "-c", f"sleep {enough:.1f}; ls -A /tmp; echo over")
    )
    assert isinstance(miner.last, JobFinished)
    assert miner.last.docker_process_stdout == "over\n"
