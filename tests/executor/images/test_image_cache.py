"""Images in use are kept; lock files do not accumulate."""

import asyncio

import pytest

from compute_horde.image_names import ImageName
from executor.images.engine_images import EngineImage
from executor.images.image_cache import ImageCache


class Images:
    """An engine's images, as a list."""

    def __init__(self, *names):
        self.there = {name: EngineImage(f"sha256:{name}", (name,), ()) for name in names}

    async def listed(self):
        return list(self.there.values())

    async def remove(self, name):
        return bool(self.there.pop(name, None))


@pytest.fixture
def cache(tmp_path):
    return ImageCache(tmp_path, "owner")


def never():
    return False


def named(cache, text):
    return cache.name_of(ImageName.parse(text))


async def test_only_what_was_fetched_here_is_removed(cache, tmp_path):
    others = named(ImageCache(tmp_path, "somebody else"), "x")
    images = Images(named(cache, "x"), "operators/image:1", others)
    assert await cache.remove_least_used(images, never) == 1
    assert set(images.there) == {"operators/image:1", others}


async def test_who_uses_an_image_keeps_it_as_long_as_it_takes(cache, tmp_path):
    name = named(cache, "x")
    images = Images(name)
    neighbour = await ImageCache(tmp_path, "owner").hold(name)
    assert await cache.remove_least_used(images, never) == 0
    neighbour.close()
    assert await cache.remove_least_used(images, never) == 1
    assert list((tmp_path / "images").iterdir()) == []


async def test_a_name_for_which_there_is_no_image_leaves_no_file(cache, tmp_path):
    hold = await cache.hold(named(cache, "x"))
    hold.close(forget=True)
    assert list((tmp_path / "images").iterdir()) == []


async def test_one_fetches_and_the_others_wait(cache, tmp_path):
    name, order = named(cache, "x"), []

    async def fetch(number):
        async with ImageCache(tmp_path, "owner").fetching(name):
            order.append(number)
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*map(fetch, range(3)))
    assert order == [first for number in order[::2] for first in (number, number)]
    assert list((tmp_path / "images").iterdir()) == []


def test_no_two_images_have_one_name(cache):
    digest = "sha256:" + "a" * 64
    texts = [
        *("x", "x:1", "org/x", "ghcr.io/x", "localhost:50/x", "localhost/x"),
        *(f"x@{digest}", f"x:{digest.replace(':', '-')}", "localhost/50/x"),
    ]
    assert len({named(cache, text) for text in texts}) == len(texts)
    assert named(cache, "x") == named(cache, "docker.io/library/x:latest")
