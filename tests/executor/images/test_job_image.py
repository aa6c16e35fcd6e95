"""A job's image: found or fetched within limits, cached while there is space, never private."""

import asyncio
import gzip
import os
import subprocess
import tarfile
from contextlib import ExitStack

import pytest
from aiohttp import web

from compute_horde.errors import HordeError, JobError
from compute_horde.hardware import ExecutorClass
from executor.config import PullPolicy
from executor.images.engine_images import EngineImages
from executor.images.image_cache import ImageCache
from executor.sandbox.engine import ContainerSpec
from tests.eventually import eventually
from tests.executor.images.registry import digest_of, layer, stored, zeros

MIB = 2**20
TEST_CLASS = ExecutorClass.always_on__test
pytestmark = pytest.mark.docker


def noise(size):
    """Incompressible bytes."""
    return layer(("noise", os.urandom(size)))


def broken_link():
    """A valid archive that cannot be unpacked."""
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = tarfile.LNKTYPE, "no such file"
    return entry.tobuf() + bytes(1024)


@pytest.fixture
def free(small_disk):
    def now():
        stats = os.statvfs(small_disk)
        return stats.f_bavail * stats.f_frsize

    return now


@pytest.fixture
def names(own_engine):
    async def listed():
        found = await own_engine.docker.images.list()
        return [name.split("/", 2)[2] for one in found for name in one["RepoTags"] or ()]

    return listed


@pytest.fixture
async def nothing_stays(own_engine, free):
    """Checks after the test that no image and no layer is left."""
    before = free()
    yield
    assert await own_engine.docker.images.list() == []
    await eventually(lambda: before - free() <= MIB)


async def test_an_image_is_fetched_once(obtain, registry, own_engine):
    name = registry.push("some/image:1", layer(("program", b"x" * 1000)), zeros(MIB))
    image = await obtain(name)
    assert image.id.startswith("sha256:")
    asked = len(registry.asked)
    assert await obtain(name) == image
    assert len(registry.asked) == asked
    [listed] = await own_engine.docker.images.list()
    assert listed["RepoTags"][0].startswith("compute-horde.invalid/")
    assert not listed["RepoDigests"]


async def test_the_engine_itself_asks_no_registry(obtain, registry):
    await obtain(registry.push("some/image:1", zeros(1000)))
    assert {asked["User-Agent"] for asked in registry.headers} == {"ComputeHorde"}


async def test_a_digest_names_what_it_is_that_of(obtain, registry, names):
    name = registry.push("some/image:1", zeros(1000))
    _, body = registry.manifests["/v2/some/image/manifests/1"]
    by_digest = f"{name.removesuffix(':1')}@{digest_of(body)}"
    image = await obtain(by_digest)
    asked = len(registry.asked)
    assert await obtain(by_digest, pull_policy=PullPolicy.ALWAYS) == image
    assert len(registry.asked) == asked
    # A tag of the same spelling is something else.
    other = registry.push(f"some/image:{digest_of(body).replace(':', '-')}", zeros(2000))
    assert (await obtain(other)).id != image.id
    assert len(await names()) == 2


async def test_the_list_of_platforms_leads_to_the_engine_s(obtain, registry):
    registry.push("some/image:1", zeros(1000))
    name = registry.index("some/image:1", ("windows", "amd64"), ("linux", "amd64"))
    assert await obtain(name)
    registry.push("some/image:2", zeros(1000))
    with pytest.raises(JobError, match="there is none for linux/amd64"):
        await obtain(registry.index("some/image:2", ("linux", "s390x")))


@pytest.mark.parametrize(
    "policy",
    [{"pull_policy": PullPolicy.ALWAYS}, {"pull_policies": {TEST_CLASS: PullPolicy.ALWAYS}}],
)
async def test_a_tag_that_moved_is_followed_when_the_policy_says_always(obtain, registry, policy):
    name = registry.push("some/image:1", zeros(1000))
    first = await obtain(name)
    registry.push("some/image:1", zeros(2000))
    assert await obtain(name) == first
    assert await obtain(name, executor_class=ExecutorClass.always_on__gpu_24gb) == first
    assert (await obtain(name, executor_class=TEST_CLASS, **policy)).id != first.id
    asked = len(registry.asked)
    await obtain(name, executor_class=TEST_CLASS, **policy)
    assert registry.asked[asked:] == ["/v2/some/image/manifests/1"]


async def test_a_machine_that_fetches_none_says_so(obtain, registry):
    name = registry.push("some/image:1", zeros(1000))
    with pytest.raises(JobError, match="is not on this machine, which fetches none"):
        await obtain(name, pull_policy=PullPolicy.NEVER)
    assert registry.asked == []


async def test_a_layer_that_breaks_off_goes_on_where_it_stopped(obtain, registry):
    data = noise(4 * MIB)
    name = registry.push("some/image:1", data)
    [digest] = [one for one, blob in registry.blobs.items() if len(blob) > MIB]
    blob, ranges = registry.blobs[digest], []

    async def half(request):
        ranges.append(request.headers.get("Range"))
        if len(ranges) > 3:
            return None
        start = int((ranges[-1] or "bytes=0-")[6:-1])
        more = {"Content-Range": f"bytes {start}-{len(blob) - 1}/{len(blob)}"} if start else {}
        response = web.StreamResponse(status=206 if start else 200, headers=more)
        response.content_length = len(blob) - start
        await response.prepare(request)
        await response.write(blob[start : start + MIB])
        request.transport.close()
        return response

    path = f"/v2/some/image/blobs/{digest}"
    registry.answers[path] = half
    assert await obtain(name)
    assert ranges[0] is None
    assert all(one.startswith("bytes=") and one != "bytes=0-" for one in ranges[1:])


async def test_two_executors_fetch_an_image_once(obtain, registry):
    name = registry.push("some/image:1", noise(MIB))
    first, second = await asyncio.gather(obtain(name), obtain(name))
    assert first == second
    assert len(registry.asked) == len(set(registry.asked))


@pytest.mark.usefixtures("nothing_stays")
@pytest.mark.parametrize(
    ("layers", "how", "expected"),
    [
        ((zeros(100 * MIB),), {}, "unpacked it is larger than"),
        ((zeros(9 * MIB), zeros(8 * MIB, "more")), {}, "unpacked it is larger than"),
        ((noise(17 * MIB),), {}, "it is larger than"),
        ((zeros(1000),), {"compress": lambda data: b"BZh" + data}, "compressed in a way"),
        ((zeros(1000),), {"compress": lambda data: gzip.compress(data)[:-30]}, "cut off"),
        ((b"no archive" * 100,), {}, "no tar archive"),
        ((zeros(1000),), {"config": {"rootfs": {"diff_ids": []}}}, "does not fit its layers"),
        ((zeros(1000),), {"config": {"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}}}, "unpack it"),
        ((zeros(1000),), {"layer_extra": {"urls": ["http://127.0.0.2/x"]}}, "outside of its"),
        ((zeros(1000),), {"layer_extra": {"size": 10}}, "other bytes"),
        ((zeros(1000),), {"layer_extra": {"size": -1}}, "without a sha256 digest or a size"),
        ((zeros(1000),), {"mediaType": "application/x"}, "format that is not supported"),
        ((zeros(1000),), {"layers": [{}] * 200}, "more than 125 layers"),
        ((broken_link(),), {}, "unpack it"),
    ],
)
async def test_what_must_not_be_kept_is_not(obtain, registry, layers, how, expected):
    name = registry.push("some/image:1", *layers, **how)
    with pytest.raises((JobError, HordeError), match=expected):
        await obtain(name, image_max_bytes=16 * MIB)


@pytest.mark.usefixtures("nothing_stays")
async def test_a_fetch_that_is_cancelled_leaves_nothing(obtain, registry):
    name = registry.push("some/image:1", noise(8 * MIB), noise(7 * MIB))
    sizes = {len(blob): digest for digest, blob in registry.blobs.items()}
    waiting, going_on = asyncio.Event(), asyncio.Event()

    async def stuck(request):
        waiting.set()
        await going_on.wait()

    registry.answers[f"/v2/some/image/blobs/{sizes[max(sizes)]}"] = stuck
    fetching = asyncio.create_task(obtain(name))
    await waiting.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    going_on.set()


@pytest.mark.usefixtures("nothing_stays")
async def test_a_disk_that_fills_meanwhile_ends_the_fetch_in_time(
    obtain, registry, small_disk, free
):
    name = registry.push("some/image:1", noise(8 * MIB))
    [digest] = [one for one, blob in registry.blobs.items() if len(blob) > MIB]
    going_on = asyncio.Event()

    async def filling(request):
        with (small_disk / "others").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free() - 10 * MIB)
        await going_on.wait()

    registry.answers[f"/v2/some/image/blobs/{digest}"] = filling
    try:
        with pytest.raises(HordeError, match="no room for the image") as full:
            await obtain(name)
        assert full.value.context is None
    finally:
        going_on.set()
        (small_disk / "others").unlink()


async def test_an_image_for_which_there_is_no_room_is_not_begun(obtain, registry, free):
    name = registry.push("some/image:1", noise(8 * MIB))
    with pytest.raises(HordeError, match="no room for the image"):
        await obtain(name, disk_reserve_bytes=free() - 4 * MIB)
    assert not [one for one in registry.asked if "blobs" in one]


async def test_the_least_recently_used_goes_first_when_room_is_wanted(obtain, registry, names):
    wanted = [registry.push(f"some/image:{n}", noise(30 * MIB), compress=stored) for n in range(4)]
    for name in (*wanted[:3], wanted[0]):
        with ExitStack() as kept:
            await obtain(name, kept=kept)
    # 90 MiB of 300 are in use; what comes next must leave half of it free.
    with ExitStack() as kept:
        await obtain(wanted[3], kept=kept, images_disk_percent=80)
    assert sorted(name[-1] for name in await names()) == ["0", "1", "2", "3"]
    with ExitStack() as kept:
        fifth = registry.push("some/image:4", noise(1 * MIB))
        await obtain(fifth, kept=kept, images_disk_percent=31)
    assert sorted(name[-1] for name in await names()) == ["0", "3", "4"]


async def test_an_image_in_use_is_not_removed(obtain, registry, own_engine, names):
    held, contained, idle = (
        registry.push(f"some/image:{name}", noise(10 * MIB), compress=stored)
        for name in ("held", "ran", "idle")
    )
    await obtain(held)
    with ExitStack() as kept:
        image = await obtain(contained, kept=kept)
        await obtain(idle, kept=kept)
    container = await own_engine.create(ContainerSpec("ch-keeps", image.id, ["/x"], [], "0", {}))
    try:
        await obtain(registry.push("some/image:new", noise(MIB)), images_disk_percent=1)
        assert sorted(name.rpartition(":")[2] for name in await names()) == ["held", "new", "ran"]
    finally:
        await container.remove()


@pytest.mark.usefixtures("nothing_stays")
async def test_what_a_killed_executor_fetched_is_removed(
    obtain, registry, own_engine, settings, monkeypatch
):
    async def killed(self, image_id, name):
        raise asyncio.CancelledError

    name = registry.push("some/image:1", zeros(MIB))
    monkeypatch.setattr(EngineImages, "tag", killed)
    with pytest.raises(asyncio.CancelledError):
        await obtain(name)
    images = EngineImages(own_engine)
    [left] = await images.listed()
    assert "compute-horde-pull" in left.digests[0]
    # Another miner's executors leave it alone.
    others = ImageCache(settings.work_dir, "somebody else")
    assert await others.remove_least_used(images, lambda: False) == 0
    ours = ImageCache(settings.work_dir, settings.owner)
    assert await ours.remove_least_used(images, lambda: False) == 1


@pytest.mark.parametrize("by_digest", [False, True])
async def test_debian_s_registry_is_understood(
    obtain, own_engine_url, debian_registry, own_engine, by_digest
):
    name = f"{debian_registry}/some/image:1"

    def docker(*command, **more):
        return subprocess.run(
            ["docker", "-H", own_engine_url, *command], check=True, capture_output=True, **more
        ).stdout.decode()

    docker("import", "-", name, input=noise(MIB))
    pushed = docker("push", name)
    digest = next(word for word in pushed.split() if word.startswith("sha256:"))
    docker("rmi", name)
    wanted = f"{debian_registry}/some/image@{digest}" if by_digest else name
    image = await obtain(wanted, registries=(debian_registry,))
    assert image.names[0].startswith("compute-horde.invalid/")
