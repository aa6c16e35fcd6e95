"""Images that make a real engine hang or fill its disk are refused before a job runs on them."""

import tarfile

import pytest

from compute_horde.protocol.job import JobFailed, JobFinished
from compute_horde.vocabulary import FailureReason, Stage
from executor.sandbox import image_content
from executor.sandbox.image_files import Content, ImageFiles, ImageFilesCache
from tests.executor.tiny_images import imported, special
from tests.peers.executors_miner import offer, payload

pytestmark = pytest.mark.docker

FIFO, LINK, DEVICE = tarfile.FIFOTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE
HOSTILE = {
    "fifo": (special("etc/passwd", FIFO),),
    "group-fifo": (special("etc/group", FIFO),),
    "device": (special("etc/passwd", DEVICE),),
    "link-to-fifo": (special("x", FIFO), special("etc/passwd", LINK, target="../x")),
    "link-to-dev": (special("etc/passwd", LINK, target="/dev/urandom"),),
    "link-to-proc": (special("etc/group", LINK, target="/proc/self/fd/0"),),
    "link-to-volume": (special("etc/passwd", LINK, target="/volume/x"),),
    "loop": (special("etc/passwd", LINK, target="/etc/passwd"),),
}


async def run(does, image, line="echo ok", **settings):
    return (await does(offer(image), payload(image, "sh", "-c", line), **settings)).last


@pytest.mark.parametrize("kind", HOSTILE)
async def test_account_files_that_an_engine_would_wait_for_are_the_job_s_fault(does, kind):
    image = imported(f"executor-tests/hostile-{kind}:1", entries=HOSTILE[kind])
    failed = await run(does, image)
    assert isinstance(failed, JobFailed)
    assert (failed.reason, failed.stage) == (FailureReason.UNKNOWN, Stage.EXECUTION)
    assert "the image's /etc" in failed.message


async def test_account_files_of_many_bytes_are_the_job_s_fault(does):
    lines = b"root:x:0:0::/:/bin/sh\n" * 50_000
    image = imported("executor-tests/hostile-long:1", files={"etc/passwd": lines})
    assert "the image's /etc/passwd has more than 1048576 bytes" in (await run(does, image)).message


async def test_account_files_may_be_links_within_the_image(does):
    image = imported(
        "executor-tests/linked-accounts:1",
        "USER me",
        files={"nix/passwd": b"me:x:7:7::/:/bin/sh\n"},
        entries=(special("etc/passwd", LINK, target="../nix/passwd"),),
    )
    assert (await run(does, image, "id -u")).docker_process_stdout == "7\n"


async def test_an_image_is_looked_at_once(does, engine, config, monkeypatch):
    image = imported("executor-tests/looked-at:1")
    first = await run(does, image)
    monkeypatch.setattr(image_content, "inspect", None)
    second = await run(does, image)
    assert [one.docker_process_stdout for one in (first, second)] == ["ok\n", "ok\n"]
    known = ImageFilesCache(config.work_dir / image_content.CACHE_FOLDER).load(
        (await engine.image(image)).id
    )
    assert known == ImageFiles(contents=(Content("/tmp"),))


def test_what_is_remembered_is_bounded_and_survives_nonsense(tmp_path, monkeypatch):
    monkeypatch.setattr("executor.sandbox.image_files.REMEMBERED", 4)
    memory, found = (
        ImageFilesCache(tmp_path / "m"),
        ImageFiles(contents=(Content("/run", folders=("lock",)),)),
    )
    for number in range(20):
        memory.save(f"sha256:{number}", found)
    assert memory.load("sha256:19") == found
    assert len(list((tmp_path / "m").iterdir())) <= 4
    (tmp_path / "m" / "sha256-19.json").write_text("[]")
    assert memory.load("sha256:19") is None


SPELLINGS = ["/v0/.", "/v0//", "//v0", "/v0/../v0", "/./v0", "/v0/x/.."]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_volume_is_memory_however_it_is_spelled(does, spelling):
    image = imported("executor-tests/spelled:1", f'VOLUME ["{spelling}"]')
    finished = await run(does, image, "df -T /v0 && touch /v0/x && echo ok")
    assert isinstance(finished, JobFinished), finished
    assert "tmpfs" in finished.docker_process_stdout


async def test_a_volume_in_place_of_a_file_system_of_the_kernel_is_refused(does):
    image = imported("executor-tests/in-proc:1", 'VOLUME ["/a/../proc/x/."]')
    assert "'/proc/x' is a part of the system" in (await run(does, image)).message


async def test_a_container_with_mounts_that_nobody_asked_for_is_removed(does, monkeypatch):
    """In case the executor reads an image's volumes differently from the engine."""
    image = imported("executor-tests/unasked:1", "VOLUME /data")
    monkeypatch.setattr("executor.sandbox.container_spec.volumes_of", lambda _: ())
    failed = await run(does, image)
    assert failed.reason is FailureReason.UNKNOWN
    assert "the image has volumes without a limit at /data" in failed.message
