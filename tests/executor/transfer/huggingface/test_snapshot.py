"""A snapshot is downloaded whole into its folder, within the job's quota."""

import pytest

from compute_horde.volumes import HuggingfaceVolume
from executor.transfer.archives import BadArchiveError, UnpackQuota
from executor.transfer.http_client import HttpClient
from executor.transfer.http_errors import WebError
from executor.transfer.huggingface.repository import Repository
from executor.transfer.huggingface.snapshot import SnapshotTarget, fetch
from tests.executor.conftest import time_for
from tests.executor.hubs import HubSite, Repo

FILES = {f"part-{number}/weights.bin": bytes([number]) * 1000 for number in range(9)}
SIZE = sum(map(len, FILES.values()))
# Nine folders, nine files and the folder that they are in.
ENTRIES = 2 * len(FILES) + 1


@pytest.fixture
async def hub():
    async with HubSite() as running:
        running.repos["model org/name"] = Repo(dict(FILES))
        yield running


@pytest.fixture
def fetched(hub, work, config):
    """Downloads the repository with a quota; returns what it reported of its progress."""

    async def run(quota):
        progress = []
        settings = config.model_copy(update={"hub_url": hub.url})
        place = SnapshotTarget(work.volume, work.volume / "model", quota)
        async with HttpClient(settings.reach(), time_for(1)) as web:
            hub_repository = Repository(HuggingfaceVolume(repo_id="org/name"), settings, web)
            await fetch(hub_repository, place, lambda done, total: progress.append((done, total)))
        return progress

    return run


async def test_every_file_arrives_and_the_quota_is_used(fetched, work):
    quota = UnpackQuota(SIZE, entries=ENTRIES)
    progress = await fetched(quota)
    found = work.volume / "model"
    assert {
        str(path.relative_to(found)): path.read_bytes()
        for path in found.rglob("*")
        if path.is_file()
    } == FILES
    assert (quota.left, quota.entries_left) == (0, 0)
    done = [count for count, _ in progress]
    assert done == sorted(done)
    assert progress[-1] == (SIZE, SIZE)


@pytest.mark.parametrize(
    ("quota", "error"),
    [
        (UnpackQuota(SIZE - 1, entries=100), WebError),
        (UnpackQuota(SIZE, entries=len(FILES) - 1), WebError),
        (UnpackQuota(SIZE, entries=ENTRIES - 1), BadArchiveError),
    ],
)
async def test_what_is_over_the_quota_is_refused(fetched, quota, error):
    with pytest.raises(error):
        await fetched(quota)


async def test_what_is_listed_as_too_large_is_not_downloaded(hub, fetched):
    with pytest.raises(WebError, match="bytes"):
        await fetched(UnpackQuota(SIZE - 1))
    assert not [path for path in hub.paths() if "/resolve/" in path]


async def test_more_than_the_disk_has_is_refused_before_the_download(hub, fetched):
    hub.repos["model org/name"].sizes = {"part-0/weights.bin": 2**60}
    with pytest.raises(OSError, match="No space left"):
        await fetched(UnpackQuota(2**61))
    assert not [path for path in hub.paths() if "/resolve/" in path]


async def test_the_first_failure_ends_the_others(hub, fetched, work):
    hub.repos["model org/name"].sizes = {"part-3/weights.bin": 999}
    with pytest.raises(WebError):
        await fetched(UnpackQuota(SIZE))
