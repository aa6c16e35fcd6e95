"""Every kind of volume is put below /volume, and nowhere else."""

import base64
import errno

import pytest
from aiohttp import web

from compute_horde.errors import JobError
from compute_horde.faults import JobCause
from compute_horde.vocabulary import FailureReason
from compute_horde.volumes import (
    HuggingfaceVolume,
    InlineVolume,
    MultiVolume,
    SingleFileVolume,
    ZipUrlVolume,
)
from executor.stages import input_volumes
from executor.transfer.archives import UnpackQuota
from tests.executor.conftest import time_for, zipped


def inline(data, path=None):
    return InlineVolume(contents=base64.b64encode(data).decode(), relative_path=path)


def tree(work):
    return {
        str(path.relative_to(work.volume)): path.read_bytes()
        for path in work.volume.rglob("*")
        if path.is_file()
    }


async def test_all_kinds_together(work, config, site):
    site.answers["/z"] = lambda request: web.Response(body=zipped(("in.zip.txt", b"z")))
    site.answers["/f"] = lambda request: web.Response(body=b"f")
    volume = MultiVolume(
        volumes=[
            inline(zipped(("a.txt", b"a")), "in/side"),
            ZipUrlVolume(contents=site / "z", relative_path="zip/"),
            SingleFileVolume(url=site / "f", relative_path="deep/er/file"),
            inline(zipped(("b.txt", b"b"))),
        ]
    )
    await input_volumes.fetch(volume, work, config, seconds_left=time_for(3))
    assert tree(work) == {
        "in/side/a.txt": b"a",
        "zip/in.zip.txt": b"z",
        "deep/er/file": b"f",
        "b.txt": b"b",
    }
    assert list(work.scratch.iterdir()) == []


async def test_no_volume_is_nothing_to_do(work, config):
    await input_volumes.fetch(None, work, config, seconds_left=time_for(3))
    assert tree(work) == {}


@pytest.mark.parametrize("path", ["../../etc/x", "/etc/x", "a/../b", "a\\b", "a\0b"])
async def test_a_path_that_leads_outside_is_refused(work, config, site, path):
    site.answers["/f"] = lambda request: web.Response(body=b"f")
    for volume in (
        SingleFileVolume(url=site / "f", relative_path=path),
        ZipUrlVolume(contents=site / "f", relative_path=path),
        inline(zipped(("x", b"x")), path),
    ):
        with pytest.raises(JobError, match="path") as refused:
            await input_volumes.fetch(volume, work, config, seconds_left=time_for(3))
        assert refused.value.reason is FailureReason.DOWNLOAD_FAILED
    assert tree(work) == {}
    assert site.asked == []


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        (InlineVolume(contents="$$$"), "not"),
        (InlineVolume(contents="AAAA"), "not a sound zip"),
        (inline(zipped(("../x", b"x"))), r"\.\."),
        (HuggingfaceVolume(repo_id="org/model", repo_type="x"), "repo_type 'x' is none of"),
        (SingleFileVolume(url="file:///etc/passwd", relative_path="x"), "volume 1"),
    ],
)
async def test_what_is_no_good_is_the_job_s_fault(work, config, volume, expected):
    with pytest.raises(JobError, match=f"Download failed: .*{expected}") as failed:
        await input_volumes.fetch(volume, work, config, seconds_left=time_for(3))
    assert failed.value.reason is FailureReason.DOWNLOAD_FAILED


async def test_the_failed_volume_is_named(work, config, site):
    site.answers["/f"] = lambda request: web.Response(status=404)
    volume = MultiVolume(
        volumes=[inline(zipped(("a", b"a"))), SingleFileVolume(url=site / "f", relative_path="f")]
    )
    with pytest.raises(JobError, match=r"volume 2 \(single_file\) 127.0.0.1: .* HTTP 404"):
        await input_volumes.fetch(volume, work, config, seconds_left=time_for(3))


async def test_downloads_are_bounded_one_by_one_and_together(work, config, site):
    site.answers["/f"] = lambda request: web.Response(body=bytes(1000))
    small = config.model_copy(update={"volume_max_bytes": 999})
    with pytest.raises(JobError, match="larger than 999 bytes"):
        await input_volumes.fetch(
            SingleFileVolume(url=site / "f", relative_path="f"),
            work,
            small,
            seconds_left=time_for(3),
        )
    little = config.model_copy(update={"unpacked_max_bytes": 1500})
    twice = [SingleFileVolume(url=site / "f", relative_path=name) for name in "ab"]
    with pytest.raises(JobError, match="larger than 500 bytes"):
        await input_volumes.fetch(
            MultiVolume(volumes=twice), work, little, seconds_left=time_for(3)
        )


async def test_a_path_that_is_a_file_and_a_folder_is_the_job_s_fault(work, config, site):
    site.answers["/f"] = lambda request: web.Response(body=b"f")
    paths = ["a", "a/b"]
    volumes = [SingleFileVolume(url=site / "f", relative_path=path) for path in paths]
    with pytest.raises(JobError, match="both a file and a folder") as caught:
        await input_volumes.fetch(
            MultiVolume(volumes=volumes), work, config, seconds_left=time_for(3)
        )
    assert caught.value.context == JobCause.BAD_INPUT.context


@pytest.mark.parametrize(
    "volume",
    [
        inline(zipped(("a.txt", b"a")), "d" * 100 + "/d" * 2100),
        inline(zipped(("/".join(["d" * 200] * 30), b"a"))),
    ],
)
async def test_a_path_too_long_for_any_disk_is_the_job_s_fault(work, config, volume):
    with pytest.raises(JobError, match="too long") as failed:
        await input_volumes.fetch(volume, work, config, seconds_left=time_for(3))
    assert failed.value.reason is FailureReason.DOWNLOAD_FAILED


async def test_a_private_address_is_refused_unless_allowed(work, config, site):
    strict = config.model_copy(update={"allow_private_urls": False})
    with pytest.raises(JobError, match="not a public address"):
        await input_volumes.fetch(
            SingleFileVolume(url=site / "f", relative_path="f"),
            work,
            strict,
            seconds_left=time_for(3),
        )
    assert site.asked == []


async def test_a_full_disk_is_not_the_job_s_fault(full_disk_work, config, site):
    site.answers["/f"] = lambda request: web.Response(body=bytes(2**20))
    for volume in (
        SingleFileVolume(url=site / "f", relative_path="f"),
        ZipUrlVolume(contents=site / "f"),
        inline(zipped(("x", bytes(2**20)))),
    ):
        with pytest.raises(OSError) as full:
            await input_volumes.fetch(volume, full_disk_work, config, seconds_left=time_for(3))
        assert full.value.errno == errno.ENOSPC


async def test_entries_are_counted_over_all_volumes(work, config, site, monkeypatch):
    monkeypatch.setitem(UnpackQuota.__init__.__kwdefaults__, "entries", 4)
    volumes = [inline(zipped(("x", b""), ("y", b"")), path) for path in "abc"]
    with pytest.raises(JobError, match="more than 4 entries"):
        await input_volumes.fetch(
            MultiVolume(volumes=volumes), work, config, seconds_left=time_for(3)
        )


async def test_progress_names_the_volume(work, config, site, monkeypatch):
    monkeypatch.setattr("executor.progress.EVERY_SECONDS", 0)
    site.answers["/f"] = lambda request: web.Response(body=b"file")
    received = []
    volumes = [SingleFileVolume(url=site / "f", relative_path="f"), inline(zipped(("x", b"ab")))]
    await input_volumes.fetch(
        MultiVolume(volumes=volumes),
        work,
        config,
        lambda *count: received.append(count),
        seconds_left=time_for(3),
    )
    assert received == [
        ("volume 1 (single_file) of 2", 4, 4),
        ("volume 2 (inline) of 2", 2, None),
    ]
