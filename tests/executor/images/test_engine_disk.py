"""Images are removed when space is needed, and no more than needed."""

import pytest

from compute_horde.errors import HordeError
from executor.images import engine_disk
from executor.images.engine_disk import EngineDisk, Space

GIB = 2**30


class Cache:
    """Images of a GiB each, on a disk of 100 GiB."""

    def __init__(self, monkeypatch, *, free, images):
        self.free, self.images = free * GIB, images
        monkeypatch.setattr(Space, "at", lambda _: Space(100 * GIB, self.free))

    async def remove_least_used(self, images, enough):
        while self.images and not enough():
            self.images -= 1
            self.free += GIB


def disk(cache, tmp_path):
    return EngineDisk(tmp_path, None, cache, reserve=GIB, percent=80)


@pytest.mark.parametrize(("free", "size", "left"), [(50, 1, 30), (24, 1, 30), (22, 1, 28)])
async def test_no_more_is_removed_than_is_wanted(monkeypatch, tmp_path, free, size, left):
    cache = Cache(monkeypatch, free=free, images=30)
    await disk(cache, tmp_path).make_room(size * GIB)
    assert cache.images == left


async def test_an_image_that_cannot_fit_is_the_machine_s_trouble(monkeypatch, tmp_path):
    cache = Cache(monkeypatch, free=2, images=3)
    with pytest.raises(HordeError, match="no room") as full:
        await disk(cache, tmp_path).make_room(5 * GIB)
    assert full.value.context is None
    assert cache.images == 0


async def test_an_image_that_just_fits_is_fetched_above_the_mark(monkeypatch, tmp_path):
    cache = Cache(monkeypatch, free=7, images=0)
    assert await disk(cache, tmp_path).make_room(5 * GIB) is None
    assert cache.images == 0


async def test_the_watch_removes_before_it_gives_up(monkeypatch, tmp_path):
    monkeypatch.setattr(engine_disk, "LOOK_SECONDS", 0)
    cache = Cache(monkeypatch, free=0, images=0)
    with pytest.raises(HordeError, match="no room"):
        await disk(cache, tmp_path).watch()


async def test_tidying_stops_at_the_mark(monkeypatch, tmp_path):
    cache = Cache(monkeypatch, free=15, images=30)
    await disk(cache, tmp_path).remove_unused()
    assert cache.images == 25


def test_a_disk_out_of_sight_is_taken_for_that_of_the_jobs(tmp_path):
    assert engine_disk.visible_folder(tmp_path, tmp_path / "work") == tmp_path
    assert (
        engine_disk.visible_folder(tmp_path / "none" / "x", tmp_path / "work") == tmp_path / "work"
    )
