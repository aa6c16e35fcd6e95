"""The disk limits of a job, and when a nearly full disk stops it."""

import asyncio

import pytest

from compute_horde.errors import HordeError
from compute_horde.hardware import ExecutorClass
from executor.config import MIB
from executor.sandbox import disk_monitor, resource_limits
from executor.sandbox.disk_monitor import DiskMonitor, FreeSpace

GIB = 2**30


class Container:
    """A container whose engine reveals neither its processes nor its root folder."""

    id = "no container at all"
    written = 0

    async def pids(self):
        return 3

    async def root_folder(self):
        return None

    async def written_bytes(self):
        return self.written


@pytest.fixture
def watching(work, config, monkeypatch):
    monkeypatch.setattr(disk_monitor, "CHECK_SECONDS", 0.01)

    def made(*, root=False, reserve=GIB):
        settings = config.model_copy(update={"disk_max_bytes": MIB, "disk_max_files": 100})
        given = resource_limits.for_class(ExecutorClass.always_on__test, settings)
        return DiskMonitor(Container(), work, given, root=root, reserve=reserve)

    return made


async def wait_for_quota_exceeded(watched):
    async with asyncio.timeout(10):
        return await watched.wait_for_quota_exceeded()


async def test_a_job_within_its_limits_is_left_alone(watching, work):
    (work.output / "x").write_bytes(bytes(MIB // 2))
    watched = watching()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watched.wait_for_quota_exceeded(), 0.3)
    assert watched.most_pids == 3


async def test_each_way_over_a_limit_is_told(watching, work, monkeypatch):
    (work.output / "x").write_bytes(bytes(2 * MIB))
    assert (
        await wait_for_quota_exceeded(watching())
        == f"Job container used more than {MIB} bytes of disk"
    )
    for number in range(101):
        (work.output / str(number)).touch()
    assert "more than 100 files, or too deep" in await wait_for_quota_exceeded(watching())


async def test_a_root_that_we_cannot_look_into_is_counted_by_the_engine(watching, monkeypatch):
    monkeypatch.setattr(Container, "written", 2 * MIB)
    assert "bytes of disk" in await wait_for_quota_exceeded(watching(root=True))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (
            FreeSpace(4 * GIB, None),
            FreeSpace(GIB - 1, None),
            f"{GIB - 1} bytes are left, {3 * GIB + 1} less",
        ),
        (FreeSpace(4 * GIB, 10**6), FreeSpace(4 * GIB, 9000), "9000 files are left, 991000 less"),
    ],
)
async def test_a_nearly_full_disk_ends_a_job_that_may_have_filled_it(
    watching, monkeypatch, before, now, expected
):
    rooms = [before, now]
    monkeypatch.setattr(FreeSpace, "at", lambda path: rooms.pop(0))
    with pytest.raises(HordeError, match=expected):
        await wait_for_quota_exceeded(watching())


@pytest.mark.parametrize(
    ("before", "now", "reserve"),
    [
        # It could not have taken more than it may.
        (FreeSpace(GIB, 10**6), FreeSpace(GIB - MIB, 10**6), GIB),
        (FreeSpace(GIB, 9100), FreeSpace(GIB, 9000), GIB),
        # There is enough left.
        (FreeSpace(9 * GIB, 10**6), FreeSpace(2 * GIB, 10**5), GIB),
        # The operator does not want it.
        (FreeSpace(9 * GIB, 10**6), FreeSpace(0, 0), 0),
        (FreeSpace(9 * GIB, None), FreeSpace(9 * GIB, None), GIB),
    ],
)
async def test_a_disk_that_fills_up_otherwise_ends_no_job(
    watching, monkeypatch, before, now, reserve
):
    rooms = [before]
    monkeypatch.setattr(FreeSpace, "at", lambda path: rooms.pop() if rooms else now)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watching(reserve=reserve).wait_for_quota_exceeded(), 0.3)


def test_a_file_system_tells_its_room(tmp_path):
    room = FreeSpace.at(tmp_path)
    assert room.bytes > 0
    assert room.files is None or room.files > 0
