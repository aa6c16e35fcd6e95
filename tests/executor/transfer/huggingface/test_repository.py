"""A Hugging Face repository is downloaded completely or fails; its token goes to the hub only."""

import asyncio
import errno

import pytest

from compute_horde.errors import HordeError, JobError
from compute_horde.vocabulary import FailureReason
from compute_horde.volumes import HuggingfaceVolume, MultiVolume
from executor.stages import input_volumes
from executor.transfer.huggingface import repository as hub_module
from tests.executor.conftest import time_for
from tests.executor.hubs import COMMIT, HubSite, Repo

FILES = {
    "config.json": b"{}",
    "weights/a.bin": b"a" * 3000,
    "weights/b.bin": b"b" * 2000,
    "odd name #1.txt": b"odd",
    "README.md": b"read",
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("executor.transfer.retries.FIRST_WAIT_SECONDS", 0)


@pytest.fixture
async def hub():
    async with HubSite() as running:
        running.repos["model org/name"] = Repo(
            dict(FILES), lfs=frozenset({"weights/a.bin", "weights/b.bin"})
        )
        yield running


@pytest.fixture
def fetched(hub, work, config):
    """Fetches one volume and returns the files below /volume."""

    async def fetch(progress=None, *, settings=None, **fields):
        volume = HuggingfaceVolume(**({"repo_id": "org/name"} | fields))
        ours = config.model_copy(update={"hub_url": hub.url} | (settings or {}))
        more = () if progress is None else (progress,)
        await input_volumes.fetch(
            MultiVolume(volumes=[volume]), work, ours, *more, seconds_left=time_for(3)
        )
        return {
            str(path.relative_to(work.volume)): path.read_bytes()
            for path in work.volume.rglob("*")
            if path.is_file()
        }

    return fetch


async def test_a_repository_comes_whole_and_by_its_commit(hub, fetched):
    assert await fetched(relative_path="models/x") == {
        f"models/x/{path}": data for path, data in FILES.items()
    }
    assert [path for path in hub.paths() if "/resolve/" in path and COMMIT not in path] == []


@pytest.mark.parametrize("kind", ["dataset", "space"])
async def test_datasets_and_spaces_are_repositories_too(hub, fetched, kind):
    hub.repos[f"{kind} org/other"] = Repo({"a": b"x"}, lfs=frozenset("a"))
    assert await fetched(repo_id="org/other", repo_type=kind) == {"a": b"x"}


@pytest.mark.parametrize("revision", ["main", "v1/x", COMMIT])
async def test_a_revision_is_a_branch_a_tag_or_a_commit(fetched, revision):
    assert await fetched(revision=revision) == FILES


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("*.json", {"config.json"}),
        (["*.md", "weights/b*"], {"README.md", "weights/b.bin"}),
        ("weights/", {"weights/a.bin", "weights/b.bin"}),
    ],
)
async def test_patterns_choose_files(hub, fetched, patterns, names):
    assert set(await fetched(allow_patterns=patterns)) == names
    assert len([path for path in hub.paths() if "/resolve/" in path]) == len(names)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"repo_id": "org/none"}, "no model 'org/none', or nobody without a token may read it"),
        ({"repo_id": "org/none", "token": "hf_x"}, "no model 'org/none', or this token may"),
        ({"repo_id": "../../etc"}, "is no repo_id"),
        ({"repo_type": "kernel"}, "repo_type 'kernel' is none of model, dataset, space"),
        ({"revision": "../x"}, "has no revision '../x'"),
        ({"allow_patterns": ["*.gguf"]}, "no file of the model 'org/name' matches"),
        ({"allow_patterns": ["x"] * 1001}, "over 1000 patterns"),
        ({"token": "a\r\nHost: b"}, "characters that no token has"),
    ],
)
async def test_what_the_hub_cannot_give_is_the_job_s_fault(fetched, fields, expected):
    with pytest.raises(JobError, match="volume 1 \\(huggingface_volume\\)") as failed:
        await fetched(**fields)
    assert failed.value.reason is FailureReason.DOWNLOAD_FAILED
    assert expected in str(failed.value)
    assert "hf_x" not in str(failed.value)


async def test_a_gated_repository_is_named_with_the_remedy(hub, fetched):
    hub.repos["model org/name"].gated = True
    with pytest.raises(JobError, match=r"'org/name' is gated.*ask for access"):
        await fetched()


async def test_a_token_that_the_hub_does_not_know_is_named(hub, fetched):
    bad = {"X-Error-Message": "Invalid credentials in Authorization header"}
    hub.trouble["/api/models/org/name"] = {"status": 401, "headers": bad}
    with pytest.raises(JobError, match="HTTP 401 about the model 'org/name'; check the token"):
        await fetched(token="hf_job")


async def test_the_job_s_token_opens_a_private_repository(hub, fetched):
    hub.repos["model org/name"].token = "hf_job"
    with pytest.raises(JobError, match="nobody without a token"):
        await fetched()
    assert await fetched(token="hf_job", settings={"hub_token": _secret("hf_own")}) == FILES


async def test_the_executor_s_token_serves_jobs_without_one(hub, fetched):
    hub.repos["model org/name"].token = "hf_own"
    assert await fetched(settings={"hub_token": _secret("hf_own")}) == FILES


def _secret(text):
    from pydantic import SecretStr

    return SecretStr(text)


async def test_a_token_never_leaves_the_hub(hub, fetched, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_machine")
    await fetched(token="hf_job")
    with_token = {where for where, _, headers in hub.asked if "authorization" in headers}
    assert with_token == {"hub"}
    assert {where for where, *_ in hub.asked} == {"hub", "cdn"}
    hub.asked.clear()
    await fetched()
    assert [headers for *_, headers in hub.asked if "authorization" in headers] == []


async def test_a_next_page_on_another_host_is_not_asked_for(hub, fetched, site):
    elsewhere = site / "tree"
    hub.trouble[f"/api/models/org/name/tree/{COMMIT}"] = {
        "text": "[]",
        "headers": {"Link": f'<{elsewhere}>; rel="next"'},
    }
    with pytest.raises(JobError, match="another host"):
        await fetched(token="hf_job")
    assert site.asked == []


async def test_a_redirect_of_the_hub_s_answers_to_another_host_is_not_followed(hub, fetched, site):
    hub.trouble["/api/models/org/name"] = {
        "status": 307,
        "headers": {"Location": site / "api"},
    }
    with pytest.raises(JobError, match="another host"):
        await fetched(token="hf_job")
    assert site.asked == []


async def test_a_large_file_behind_a_private_address_is_not_fetched(hub, fetched, monkeypatch):
    """The hub's own address passes, as a public one would; the one redirected to does not."""
    monkeypatch.setattr("compute_horde.addresses.is_public", lambda address: address == "127.0.0.1")
    hub.cdn_host = "127.0.0.2"
    with pytest.raises(JobError, match=r"127\.0\.0\.2 is not a public address"):
        await fetched(settings={"allow_private_urls": False})
    assert {where for where, *_ in hub.asked} == {"hub"}


async def test_what_is_too_large_is_refused_before_any_of_it_comes(hub, fetched):
    with pytest.raises(JobError, match=r"has 5009 bytes, 5000 are allowed; .*allow_patterns"):
        await fetched(settings={"unpacked_max_bytes": 5000})
    assert [path for path in hub.paths() if "/resolve/" in path] == []
    few = await fetched(settings={"unpacked_max_bytes": 5000}, allow_patterns="*.md")
    assert few == {"README.md": b"read"}


async def test_too_many_files_are_refused_before_any_of_them_comes(hub, fetched, monkeypatch):
    monkeypatch.setattr(
        "executor.transfer.archives.UnpackQuota.__init__.__kwdefaults__", {"entries": 4}
    )
    with pytest.raises(JobError, match="has 5 files, 4 are allowed"):
        await fetched()
    assert [path for path in hub.paths() if "/resolve/" in path] == []


@pytest.mark.parametrize(
    ("listed", "expected"), [(10, "larger than 10 bytes"), (5000, "came with")]
)
async def test_a_file_of_another_size_than_listed_is_refused(hub, fetched, listed, expected):
    hub.repos["model org/name"].sizes["weights/a.bin"] = listed
    with pytest.raises(JobError, match=expected):
        await fetched()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../x", "a\\..\\x", "a//b"])
async def test_a_path_that_leads_outside_is_refused(hub, fetched, work, path):
    hub.repos["model org/name"].files[path] = b"x"
    with pytest.raises(JobError, match="path"):
        await fetched()
    assert not (work.path / "x").exists()


@pytest.mark.parametrize(
    "entry",
    [7, {}, {"type": "file"}, {"type": "file", "path": 7, "size": 1, "oid": "0"}]
    + [{"type": "file", "path": "x", "size": size, "oid": "0"} for size in (-1, "1", None, True)],
)
async def test_a_hub_that_talks_nonsense_is_not_the_job_s_fault(hub, fetched, entry):
    hub.repos["model org/name"].extra.append(entry)
    with pytest.raises(HordeError, match="is not valid"):
        await fetched()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"sha": "main"}', b"[" * 100_000])
async def test_an_answer_without_a_commit_is_not_the_job_s_fault(hub, fetched, body):
    hub.trouble["/api/models/org/name"] = {"body": body}
    with pytest.raises(HordeError, match="is not valid"):
        await fetched()


async def test_an_endless_list_ends(hub, fetched):
    here = f"{hub.url}/api/models/org/name/tree/{COMMIT}"
    hub.trouble[f"/api/models/org/name/tree/{COMMIT}"] = {
        "text": "[]",
        "headers": {"Link": f'<{here}>; rel="next"'},
    }
    with pytest.raises(JobError, match="list of files is too long"):
        await fetched()
    assert len(hub.asked) == hub_module.MAX_REQUESTS


async def test_an_answer_that_would_fill_the_memory_is_refused(hub, fetched, monkeypatch):
    monkeypatch.setattr(hub_module, "MOST_ANSWER_BYTES", 1000)
    hub.trouble["/api/models/org/name"] = {"body": bytes(2000)}
    with pytest.raises(JobError, match="answer is longer than 1000 bytes"):
        await fetched()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_hub_in_trouble_is_nobody_s_fault(hub, fetched, status):
    hub.trouble["/api/models/org/name"] = {"status": status}
    with pytest.raises(HordeError, match=f"hub could not be used: 127.0.0.1: .* HTTP {status}"):
        await fetched()
    assert len(hub.asked) == 3


async def test_a_hub_that_is_not_there_is_nobody_s_fault(fetched, unused_tcp_port):
    with pytest.raises(HordeError, match="could not connect"):
        await fetched(settings={"hub_url": f"http://127.0.0.1:{unused_tcp_port}"})


async def test_a_hub_that_does_not_answer_is_left_at_the_deadline(hub, fetched):
    fetching = asyncio.create_task(fetched(repo_id="org/stalled"))
    await hub.stalled.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    # Nothing waits at the end of the process: the library's thread is done.
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 10)


async def test_a_disk_that_has_no_room_is_not_the_job_s_fault(
    hub, full_disk_work, config, monkeypatch
):
    hub.repos["model org/name"].files["big"] = bytes(2**20)
    ours = config.model_copy(update={"hub_url": hub.url})
    with pytest.raises(OSError) as full:
        await input_volumes.fetch(
            HuggingfaceVolume(repo_id="org/name"), full_disk_work, ours, seconds_left=time_for(3)
        )
    assert full.value.errno == errno.ENOSPC
    assert [path for path in hub.paths() if "/resolve/" in path] == []


async def test_progress_is_that_of_the_whole_repository(fetched, monkeypatch):
    monkeypatch.setattr("executor.progress.EVERY_SECONDS", 0)
    received = []
    await fetched(lambda *count: received.append(count))
    total = sum(map(len, FILES.values()))
    assert received[-1] == ("volume 1 (huggingface_volume) of 1", total, total)
    assert [done for _, done, _ in received] == sorted(done for _, done, _ in received)


def test_the_library_is_imported_for_nobody_else():
    """The prefork server does not import it."""
    import subprocess
    import sys

    line = "import executor.prefork, sys; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", line], check=False).returncode == 0
