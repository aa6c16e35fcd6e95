"""An executor in a container, as the docker manager starts it, sees deleted files of a job."""

import subprocess
import sys
from pathlib import Path

import pytest

from executor.config import MIB
from executor.sandbox.engine import EXECUTOR, ContainerSpec
from miner.executors.docker_manager import HARDENED

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("sighted")]

ROOT = Path(__file__).resolve().parents[3]
RUN = ("docker", "run", "--rm", "--network", "none", "-e", "PYTHONDONTWRITEBYTECODE=1")
LOOK = """
import sys
from pathlib import Path
from executor.sandbox import open_files
pids = open_files.processes(sys.argv[1])
held = open_files.held_files(pids, Path(sys.argv[2]).stat().st_dev, most=1000)
print(len(pids), held.bytes, held.hidden)
"""


def looked(image, container, work, *options):
    """The output of this machine's Python in a container, about another container."""
    python = {"/usr", "/lib", "/lib64", "/bin", sys.base_prefix, sys.prefix, str(ROOT), str(work)}
    binds = [part for path in sorted(python) if Path(path).exists() for part in ("-v", path)]
    readable = [bind if bind == "-v" else f"{bind}:{bind}:ro" for bind in binds]
    command = [sys.executable, "-c", LOOK, container, str(work)]
    ran = subprocess.run(
        [*RUN, *options, *readable, "-w", str(ROOT), image, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def as_the_miner_starts_it():
    assert HARDENED["SecurityOpt"] == ["no-new-privileges"]
    caps = [part for cap in HARDENED["CapAdd"] for part in ("--cap-add", cap)]
    plain = ["--cap-drop", "ALL", "--read-only", "--security-opt", "no-new-privileges"]
    return [*plain, *caps, "--pid", HARDENED["PidMode"]]


async def test_it_sees_the_deleted_files_of_a_job(engine, as_root, tmp_path, nobody):
    tmp_path.chmod(0o777)
    image = await engine.image(nobody)
    line = f"exec 3>/output/x; rm /output/x; head -c {MIB} /dev/zero >&3; echo; sleep 60"
    host = {"NetworkMode": "none", "Binds": [f"{tmp_path}:/output"]}
    name = f"hidden-{tmp_path.parent.name}-{tmp_path.name}".replace("_", "-")
    order = ContainerSpec(name, image.id, ["sh", "-c", line], [], "65534", {EXECUTOR: name}, host)
    job = await engine.create(order)
    try:
        await job.attach()
        await job.start()
        # It prints once it holds the file.
        async for _ in job.output():
            break
        pids, held, hidden = looked(as_root, job.id, tmp_path, *as_the_miner_starts_it())
        assert (int(pids) > 0, int(held), hidden) == (True, MIB, "False")
        # Without the machine's processes it is blind, and knows no process of the job.
        assert looked(as_root, job.id, tmp_path) == ["0", "0", "False"]
    finally:
        await job.remove()
