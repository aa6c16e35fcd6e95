"""What an executor does for jobs of the llm images, without containers: the programs are real."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from compute_horde import uploads, volumes
from compute_horde.protocol.job import JobFinished
from compute_horde.uploads import FilePut, Upload
from compute_horde.volumes import SingleFileVolume, Volume
from validator.trusted_miner.runs import TrustedJob, TrustedResult

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "computehorde/llm-prompts:v1": "validator.llm.programs.prompts",
    "computehorde/llm-solver:v1": "validator.llm.programs.solver",
}


@contextmanager
def folders() -> Iterator[tuple[Path, Path]]:
    """The volume and the output of one job."""
    with tempfile.TemporaryDirectory() as folder:
        volume, output = Path(folder, "volume"), Path(folder, "output")
        volume.mkdir()
        output.mkdir()
        yield volume, output


def download(volume: Volume | None, folder: Path) -> None:
    """Fetch the files of a volume."""
    for one in volumes.simple_volumes(volume):
        assert isinstance(one, SingleFileVolume)
        answer = httpx.get(one.url)
        answer.raise_for_status()
        (folder / one.relative_path).write_bytes(answer.content)


def upload(wanted: Upload | None, folder: Path) -> None:
    """Send the files of the output."""
    for one in uploads.each(wanted):
        assert isinstance(one, FilePut)
        httpx.put(one.url, content=(folder / one.relative_path).read_bytes()).raise_for_status()


def local(args: Sequence[str], volume: Path, output: Path) -> list[str]:
    """The arguments, with the folders of this machine."""
    return [
        *(one.replace("/volume/", f"{volume}/") for one in args),
        f"--output={output}",
        f"--weights={volume / 'weights'}",
    ]


def run_program(image: str, args: Sequence[str]) -> str:
    """Run the program of an image to its end; its output."""
    command = [sys.executable, "-m", PROGRAMS[image], *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def started(image: str, args: Sequence[str]) -> asyncio.subprocess.Process:
    """The running program of an image."""
    command = [sys.executable, "-m", PROGRAMS[image], *args]
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT)


def run_job(image: str, args: Sequence[str], volume: Volume | None, wanted: Upload | None) -> str:
    """Inputs, program, uploads; the output of the program."""
    with folders() as (inside, output):
        download(volume, inside)
        printed = run_program(image, local(args, inside, output))
        upload(wanted, output)
    return printed


def run_trusted(job: TrustedJob) -> TrustedResult:
    """A trusted miner."""
    printed = run_job(job.image, job.args, job.volume, job.output_upload)
    finished = JobFinished(
        job_uuid=job.request().uuid, docker_process_stdout=printed, docker_process_stderr=""
    )
    return TrustedResult(finished.job_uuid, printed, "", {}, {}, 0.1, finished)
