"""What an image has at its volumes and scratch paths is there for its jobs, and writable."""

import tarfile

import pytest

from compute_horde.protocol.job import JobFinished
from compute_horde.vocabulary import FailureReason
from tests.executor.tiny_images import folder, imported, special
from tests.peers.executors_miner import offer, payload

pytestmark = pytest.mark.docker

FIFO, LINK = tarfile.FIFOTYPE, tarfile.SYMTYPE


async def run(does, image, line="echo ok", **settings):
    return (await does(offer(image), payload(image, "sh", "-c", line), **settings)).last


async def test_scratch_is_writable_by_any_user_whatever_rights_the_image_gives_it(does):
    entries = (folder("run"), folder("run/lock"), folder("var"), folder("var/tmp"))
    image = imported("executor-tests/run-lock:1", entries=entries)
    finished = await run(does, image, "touch /run/lock/x /run/y /var/tmp/z /tmp/t && id -u")
    assert isinstance(finished, JobFinished), finished
    assert finished.docker_process_stdout == "65534\n"


CONTENT = {
    "data/a": b"1",
    "data/sub/b": b"2",
    "tmp/seed": b"3",
    "run/app/pid": b"4",
    "bin-of-it/hi": b"#!/bin/sh\necho hi\n",
}


@pytest.fixture(scope="session")
def filled():
    return imported(
        "executor-tests/filled:1",
        'VOLUME ["/data/.", "/bin-of-it"]',
        files=CONTENT,
        entries=(
            special("data/link", LINK, target="/data/a"),
            special("data/away", LINK, target="/etc"),
            special("data/fifo", FIFO),
        ),
    )


@pytest.mark.parametrize("user", [None, "0:0", "65534:65534", "1234"])
async def test_what_an_image_has_in_volumes_and_scratch_is_there_and_writable(does, filled, user):
    line = (
        "cat /data/a /data/sub/b /data/link /tmp/seed /run/app/pid && sh /bin-of-it/hi"
        " && echo x >>/data/a && touch /data/new /data/sub/new /tmp/new /run/app/new /var/tmp/new"
        " && ls -a /data && echo ok"
    )
    finished = await run(does, filled, line, job_user=user)
    assert isinstance(finished, JobFinished), finished
    assert finished.docker_process_stdout.startswith("12134hi\n")
    assert finished.docker_process_stdout.endswith("ok\n")
    assert "fifo" not in finished.docker_process_stdout


async def test_the_disk_limit_holds_for_what_an_image_has_in_its_volumes(does, filled):
    line = "dd if=/dev/zero of=/data/big bs=1000000 count=100; sleep 20"
    failed = await run(does, filled, line, disk_max_bytes=20_000_000)
    assert failed.reason is FailureReason.UNKNOWN or failed.docker_process_exit_status
    assert "20000000 bytes" in failed.message or "20000000 bytes of disk" in failed.message


async def test_an_image_that_has_more_in_its_volumes_than_a_job_may_have_is_refused(does):
    image = imported(
        "executor-tests/too-filled:1", "VOLUME /data", files={"data/x": b"x" * 5_000_000}
    )
    failed = await run(does, image, disk_max_bytes=2_000_000)
    assert "holds more than 2000000 bytes unpacked" in failed.message
