"""A job that cannot go well ends, says why, and leaves the network as it was."""

import asyncio
import contextlib
import io
import os
import re
import stat
import zipfile
from base64 import b64encode
from collections.abc import AsyncIterator

import psutil
import pytest

from compute_horde_sdk.v1 import (
    ComputeHordeJob,
    ExecutorClass,
    HTTPInputVolume,
    HTTPOutputVolume,
    InlineInputVolume,
    InvalidRequestError,
)
from tests.network.running import FILLED_BYTES, Running, shell, spec, until
from tests.network.sites import Site

pytestmark = pytest.mark.usefixtures("containers")

KEPT_OUTPUT = 1_000_005
# What a facilitator keeps of a log.
LOG_BYTES = 16 * 2**20
MIB = 2**20


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as running:
        yield running


def failed(job: ComputeHordeJob) -> tuple[str, str, str]:
    """Status, reason and stage of a job that failed."""
    assert job.error is not None, job.status
    return job.status.value, job.error.reason, getattr(job.error, "stage", "")


def taken(network: Running) -> int:
    """The most that one executor has in memory and in files, also in those without a name.

    A job has one executor; how many others there are changes at any time.
    """
    most = 0
    for executor in network.executors():
        with contextlib.suppress(psutil.Error, OSError):
            total = executor.memory_info().rss
            for descriptor in os.scandir(f"/proc/{executor.pid}/fd"):
                opened = descriptor.stat()
                total += opened.st_size if stat.S_ISREG(opened.st_mode) else 0
            most = max(most, total)
    return most


def archive(*entries: tuple[str, int, bytes]) -> InlineInputVolume:
    """An inline volume with these names, modes and contents."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for name, mode, data in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            made.writestr(info, data)
    return InlineInputVolume(contents=b64encode(packed.getvalue()).decode())


async def test_an_image_that_is_nowhere_is_named(network: Running, site: Site) -> None:
    image = f"{site.registry}/no/such-image:1"
    job = await network.run(spec("true", docker_image=image))
    assert failed(job) == ("failed", "download_failed", "executor_startup")
    assert image in job.error.message
    assert "its registry does not have it (HTTP 404)" in job.error.message


@pytest.mark.parametrize("image", ["No/Such Image", "a" * 200 + ":tag:tag"])
async def test_a_name_that_no_image_has_is_refused(network: Running, image: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(image)):
        await network.run(spec("true", docker_image=image))


async def test_a_command_that_fails_shows_what_it_printed(network: Running) -> None:
    job = await network.run(shell("echo out; echo err >&2; exit 7"))
    assert failed(job) == ("failed", "nonzero_return_code", "execution")
    assert "exit code: 7" in job.error.message
    assert job.error.docker_process_exit_status == 7
    assert (job.result.stdout, job.result.stderr) == ("out\n", "err\n")


async def test_a_command_that_is_not_in_the_image_is_named(network: Running) -> None:
    job = await network.run(spec("no-such-command"))
    assert failed(job) == ("failed", "nonzero_return_code", "execution")
    assert "no-such-command" in job.error.message


async def test_each_stage_has_its_time_limit(network: Running, site: Site) -> None:
    limits = {f"{stage}_time_limit_sec": 1 for stage in ("download", "execution", "upload")}
    put = HTTPOutputVolume(http_method="PUT", url=site / "stalled/put")
    slow = {
        "executor_startup": spec("true", docker_image=f"{site.registry}/stalled/image", **limits),
        "volume_download": shell(
            "true",
            input_volumes={"/volume/x": HTTPInputVolume(url=site / "stalled/file")},
            **limits,
        ),
        "execution": shell("echo began; sleep 60", **limits),
        "result_upload": shell("echo x >/output/x", output_volumes={"/output/x": put}, **limits),
    }
    jobs = await asyncio.gather(*(network.run(one) for one in slow.values()))
    told = dict(zip(slow, jobs, strict=True))
    # A fetch of the image that takes too long goes on while volumes are downloaded.
    stages = {name: failed(job) for name, job in told.items()}
    assert stages == {
        "executor_startup": ("failed", "timeout", "volume_download"),
        "volume_download": ("failed", "timeout", "volume_download"),
        "execution": ("failed", "timeout", "execution"),
        "result_upload": ("failed", "timeout", "result_upload"),
    }
    expected = "Download time exceeded: volume 1 (single_file) "
    assert told["volume_download"].error.message.startswith(expected)
    assert "timed out during execution" in told["execution"].error.message
    assert told["execution"].result.stdout == "began\n"
    assert told["result_upload"].error.message.startswith("Upload time exceeded: 'x': ")


async def test_long_output_comes_whole_from_the_log(network: Running) -> None:
    script = "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo last"
    job = await network.run(shell(script))
    assert job.status == "completed"
    assert job.result.stdout == f"first\n{'x' * 3_000_000}last\n"
    assert job.result.truncated == {}


async def test_endless_output_ends_with_the_time_and_fills_nothing(network: Running) -> None:
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, taken(network))
            await asyncio.sleep(0.1)

    before = taken(network)
    watching = asyncio.create_task(watch())
    job = await network.run(shell("yes & yes >&2", execution_time_limit_sec=2))
    watching.cancel()
    assert failed(job) == ("failed", "timeout", "execution")
    for stream in ("stdout", "stderr"):
        # More than its log holds: both ends, and how much it was. A slow machine prints less.
        length = len(getattr(job.result, stream))
        printed = job.result.truncated.get(stream)
        assert length == KEPT_OUTPUT if printed else length < LOG_BYTES
        assert printed is None or printed > KEPT_OUTPUT
    # Up to 64 MiB of each stream are kept to be uploaded, the ends of both in memory.
    assert most - before < (2 * 64 + 64) * MIB


async def test_artifacts_that_are_too_large_are_left_out_and_named(network: Running) -> None:
    script = "head -c 1500000 /dev/zero >/a/big; mkdir /a/folder; ln -s big /a/link; echo x >/a/ok"
    job = await network.run(shell(script, artifacts_dir="/a"))
    assert job.status == "completed"
    assert job.result.artifacts == {"/a/ok": b"x\n"}
    assert {one.name: one.size for one in job.result.left_out} == {
        "/a/big": 1_500_000,
        "/a/link": None,
    }
    assert job.result.stderr == ""


async def test_too_many_artifacts_are_bounded(network: Running) -> None:
    script = "seq 12000 | while read n; do echo >/a/$n; done"
    job = await network.run(shell(script, artifacts_dir="/a"))
    assert job.status == "completed"
    assert len(job.result.artifacts) == 10_000
    (others,) = job.result.left_out
    assert others.name == ""
    assert "only 10000 files" in others.why
    assert job.result.stderr == ""


async def test_of_artifacts_larger_than_a_frame_those_that_fit_are_kept(network: Running) -> None:
    script = "for n in $(seq 15); do head -c 900000 /dev/zero >/a/$n; done; echo done"
    job = await network.run(shell(script, artifacts_dir="/a"))
    assert (job.status, job.result.stdout) == ("completed", "done\n")
    assert {len(data) for data in job.result.artifacts.values()} == {900_000}
    left_out = {one.name for one in job.result.left_out}
    assert len(job.result.artifacts) > 10
    assert left_out | job.result.artifacts.keys() == {f"/a/{n}" for n in range(1, 16)}
    assert not left_out & job.result.artifacts.keys()


async def test_a_job_without_artifacts_has_none(network: Running) -> None:
    job = await network.run(shell("true", artifacts_dir=None))
    assert (job.status, job.result.artifacts) == ("completed", {})


@pytest.mark.parametrize(
    ("name", "mode", "told"),
    [
        ("../../etc/x", stat.S_IFREG | 0o644, "`..`"),
        ("/etc/x", stat.S_IFREG | 0o644, "is absolute"),
        ("innocent", stat.S_IFLNK | 0o777, "link or a device"),
    ],
)
async def test_an_archive_that_leads_outside_is_refused(
    network: Running, name: str, mode: int, told: str
) -> None:
    volume = archive((name, mode, b"/etc/passwd"))
    job = await network.run(shell("true", input_volumes={"/volume/in": volume}))
    assert failed(job) == ("failed", "download_failed", "volume_download")
    assert repr(name) in job.error.message
    assert told in job.error.message


async def test_an_archive_that_unfolds_without_end_is_stopped(network: Running) -> None:
    bomb = archive(("zeros", stat.S_IFREG | 0o644, bytes(2 * FILLED_BYTES)))
    assert len(bomb.contents) < MIB // 4
    job = await network.run(shell("true", input_volumes={"/volume/in": bomb}))
    assert failed(job) == ("failed", "download_failed", "volume_download")
    assert f"more than {FILLED_BYTES} bytes" in job.error.message


async def test_a_download_larger_than_a_job_may_have_is_stopped(
    network: Running, site: Site
) -> None:
    site.files["big"] = bytes(FILLED_BYTES + 1)
    volume = HTTPInputVolume(url=site / "big")
    job = await network.run(shell("true", input_volumes={"/volume/big": volume}))
    assert failed(job) == ("failed", "download_failed", "volume_download")
    assert f"larger than {FILLED_BYTES} bytes" in job.error.message


async def test_a_job_that_fills_the_disk_is_stopped(network: Running) -> None:
    script = f"echo filling; head -c {2 * FILLED_BYTES} /dev/zero >/output/x; sleep 60"
    job = await network.run(shell(script))
    assert failed(job) == ("failed", "unknown", "execution")
    assert f"more than {FILLED_BYTES} bytes of disk" in job.error.message
    assert job.result.stdout == "filling\n"


async def test_a_job_that_hides_what_it_fills_is_stopped_all_the_same(network: Running) -> None:
    if os.geteuid():
        pytest.skip("only root sees what the processes of other users hold open")
    half = f"head -c {FILLED_BYTES - MIB} /dev/zero"
    script = f"exec 3>/output/x 4>/volume/y; rm /output/x /volume/y; {half} >&3; {half} >&4"
    job = await network.run(shell(f"{script}; sleep 60"))
    assert failed(job) == ("failed", "unknown", "execution")
    assert f"more than {FILLED_BYTES} bytes of disk" in job.error.message
    assert "in deleted files it held open" in job.error.message


async def test_a_full_disk_of_the_miner_is_not_the_user_s_fault(
    network: Running, site: Site
) -> None:
    if not (network.home.path / "miner-2-work").is_mount():
        pytest.skip("mounting a tiny disk needs root")
    site.files["file"] = bytes(8 * MIB)
    volume = HTTPInputVolume(url=site / "file")
    there = {"executor_class": ExecutorClass.always_on__cpu__8c__16gb}
    job = await network.run(shell("true", input_volumes={"/volume/file": volume}, **there))
    assert (job.status, job.error.reason) == ("horde_failed", "generic_error")
    assert job.error.message == "the executor's disk is full"
    again = await network.run(shell("echo fits", **there))
    assert (again.status, again.result.stdout) == ("completed", "fits\n")


async def test_after_all_that_the_next_job_works_and_nothing_is_left(network: Running) -> None:
    job = await network.run(shell("echo fine"))
    assert (job.status, job.result.stdout) == ("completed", "fine\n")
    # Only the waiting executors have directories, and nothing is in them.
    work = network.home.path / "miner-work"

    def nothing_left() -> bool:
        folders = list(work.glob("ch-*"))
        walked = [entry for folder in folders for entry in os.walk(folder)]
        left = [root for root, _, files in walked if set(files) - {"owner"}]
        return len(folders) == len(network.executors()) and not left

    await until(nothing_left, "the directories of jobs are gone")
