"""What a job may keep on disk, and when a nearly full one ends it."""

import asyncio

import pytest

from compute_horde.errors import HordeError
from compute_horde.hardware import ExecutorClass
from executor import limits, watch
from executor.config import MIB
from executor.watch import Room, Watch

GIB = 2**30


class Container:
    """Of an engine that shows no process of it, and no folder of its root."""

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
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)

    def made(*, root=False, reserve=GIB):
        settings = config.model_copy(update={"disk_max_bytes": MIB, "disk_max_files": 100})
        given = limits.of(ExecutorClass.always_on__test, settings)
        return Watch(Container(), work, given, root=root, reserve=reserve)

    return made


async def overdrawn(watched):
    async with asyncio.timeout(10):
        return await watched.overdrawn()


async def test_a_job_within_its_limits_is_left_alone(watching, work):
    (work.output / "x").write_bytes(bytes(MIB // 2))
    watched = watching()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watched.overdrawn(), 0.3)
    assert watched.most_pids == 3


async def test_each_way_over_a_limit_is_told(watching, work, monkeypatch):
    (work.output / "x").write_bytes(bytes(2 * MIB))
    assert await overdrawn(watching()) == f"Job container used more than {MIB} bytes of disk"
    for number in range(101):
        (work.output / str(number)).touch()
    assert "more than 100 files, or too deep" in await overdrawn(watching())


async def test_a_root_that_we_cannot_look_into_is_counted_by_the_engine(watching, monkeypatch):
    monkeypatch.setattr(Container, "written", 2 * MIB)
    assert "bytes of disk" in await overdrawn(watching(root=True))


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (Room(4 * GIB, None), Room(GIB - 1, None), f"{GIB - 1} bytes are left, {3 * GIB + 1} less"),
        (Room(4 * GIB, 10**6), Room(4 * GIB, 9000), "9000 files are left, 991000 less"),
    ],
)
async def test_a_nearly_full_disk_ends_a_job_that_may_have_filled_it(
    watching, monkeypatch, before, now, told
):
    rooms = [before, now]
    monkeypatch.setattr(Room, "at", lambda path: rooms.pop(0))
    with pytest.raises(HordeError, match=told):
        await overdrawn(watching())


@pytest.mark.parametrize(
    ("before", "now", "reserve"),
    [
        # It could not have taken more than it may.
        (Room(GIB, 10**6), Room(GIB - MIB, 10**6), GIB),
        (Room(GIB, 9100), Room(GIB, 9000), GIB),
        # There is enough left.
        (Room(9 * GIB, 10**6), Room(2 * GIB, 10**5), GIB),
        # The operator does not want it.
        (Room(9 * GIB, 10**6), Room(0, 0), 0),
        (Room(9 * GIB, None), Room(9 * GIB, None), GIB),
    ],
)
async def test_a_disk_that_fills_up_otherwise_ends_no_job(
    watching, monkeypatch, before, now, reserve
):
    rooms = [before]
    monkeypatch.setattr(Room, "at", lambda path: rooms.pop() if rooms else now)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watching(reserve=reserve).overdrawn(), 0.3)


def test_a_file_system_tells_its_room(tmp_path):
    room = Room.at(tmp_path)
    assert room.bytes > 0
    assert room.files is None or room.files > 0
