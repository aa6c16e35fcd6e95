"""One container of a real engine: its output, its files and its end."""

import asyncio
import io
import tarfile

import pytest

from compute_horde.errors import JobError
from executor.process import id_of
from executor.sandbox.container import Container, EngineError, remove_created
from executor.sandbox.engine import EXECUTOR
from tests.peers.executors_miner import TOKEN

pytestmark = pytest.mark.docker

ME = id_of(TOKEN)


async def printed(container):
    return [(is_stderr, data) async for is_stderr, data in container.output()]


async def test_both_streams_are_heard_from_the_first_byte_to_the_last(make):
    container = await make("sh", "-c", "echo out; echo err >&2; exit 3", NetworkMode="none")
    await container.attach()
    await container.start()
    pieces = await printed(container)
    assert b"".join(data for is_stderr, data in pieces if not is_stderr) == b"out\n"
    assert b"".join(data for is_stderr, data in pieces if is_stderr) == b"err\n"
    assert await container.exit_code() == 3
    assert not await container.was_oom_killed()
    await container.remove()


async def test_killing_and_removing_are_harmless_twice(make, engine):
    container = await make("sleep", "60", NetworkMode="none")
    await container.start()
    assert await container.is_running()
    for _ in range(2):
        await container.kill()
    assert await container.exit_code() == 137
    assert not await container.is_running()
    for _ in range(2):
        await container.remove()
    assert await engine.labelled(EXECUTOR, ME) == {}


async def test_what_it_wrote_to_its_root_is_known(make):
    container = await make("dd", "if=/dev/zero", "of=/tmp/x", "bs=1000", "count=1000")
    await container.start()
    assert await container.exit_code() == 0
    assert 1_000_000 <= await container.written_bytes() < 1_100_000
    root = await container.root_folder()
    assert root is None or (root / "tmp/x").stat().st_size == 1_000_000


async def test_its_files_are_seen_before_it_starts(make):
    container = await make("true")
    folder, file = await container.stat("/bin"), await container.stat("/bin/busybox")
    assert (folder.is_folder, folder.is_regular) == (True, False)
    assert (file.is_folder, file.is_regular) == (False, True)
    link = await container.stat("/bin/sh")
    assert (link.is_folder, link.is_regular, link.target) == (False, False, "/bin/busybox")
    assert await container.stat("/none") is None


async def test_its_files_come_as_a_tar(make):
    container = await make("true")
    packed = b"".join([piece async for piece in container.archive("/bin/busybox")])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["busybox"]
        assert archive.getmembers()[0].size == (await container.stat("/bin/busybox")).size
    with pytest.raises(EngineError) as missing:
        [piece async for piece in container.archive("/none")]
    assert missing.value.status == 404


async def test_its_processes_are_counted_while_it_runs(make):
    container = await make("sh", "-c", "sleep 60 & sleep 60 & echo both; wait")
    await container.attach()
    await container.start()
    assert await anext(container.output()) == (False, b"both\n")
    assert await container.pids() == 3
    await container.kill()
    await container.exit_code()
    assert await container.pids() == 0
    await container.remove()


async def test_mounts_are_known_but_those_in_memory(make, tmp_path):
    container = await make("true", Binds=[f"{tmp_path}:/data"], Tmpfs={"/tmp": ""})
    assert await container.mount_points() == {"/data"}


async def test_a_command_that_is_not_there_is_the_job_s_fault(make):
    container = await make("no-such-command")
    with pytest.raises(JobError, match="no-such-command"):
        await container.start()


async def test_who_was_removed_by_somebody_else_did_not_fail_by_itself(make):
    container = await make("true")
    await container.start()
    await container.exit_code()
    await container.remove()
    with pytest.raises(EngineError, match="removed by somebody else"):
        await container.was_oom_killed()


async def created(make) -> Container:
    return await make("true")


async def refused(status: int) -> Container:
    raise EngineError(status, "no")


async def not_allowed() -> Container:
    raise JobError("unknown", "no such user")


async def test_what_is_just_being_created_is_removed(make, engine):
    await remove_created(asyncio.create_task(created(make)))
    assert await engine.labelled(EXECUTOR, ME) == {}


async def test_what_was_not_created_need_not_be_removed():
    await remove_created(asyncio.create_task(not_allowed()))
    await remove_created(asyncio.create_task(refused(409)))
    with pytest.raises(EngineError):
        # Without an answer the engine may have created it.
        await remove_created(asyncio.create_task(refused(0)))
