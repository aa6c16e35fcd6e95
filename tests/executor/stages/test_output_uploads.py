"""The output of a job is uploaded exactly as requested."""

import io
import json
import zipfile

import pytest
from aiohttp import web

from compute_horde.errors import JobError
from compute_horde.faults import JobCause
from compute_horde.uploads import FilePost, FilePut, MultiUpload, ZipPost, ZipPut
from compute_horde.vocabulary import FailureReason
from executor.output.captured_output import CapturedOutput
from executor.stages import output_uploads
from tests.executor.conftest import time_for


@pytest.fixture
def output(work):
    (work.output / "sub").mkdir()
    (work.output / "a.bin").write_bytes(b"one")
    (work.output / "sub/b.bin").write_bytes(b"two")
    return work.output


@pytest.fixture(autouse=True)
def answers(site):
    for path in ("/put", "/post", "/zip"):
        site.answers[path] = lambda request: web.Response(text=request.path)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("executor.transfer.retries.FIRST_WAIT_SECONDS", 0)


def unzipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert all(one.compress_type == zipfile.ZIP_STORED for one in archive.infolist())
        return {name: archive.read(name) for name in archive.namelist()}


def form(headers, body):
    """The parts of a form in order, each with its disposition and content."""
    boundary = b"--" + headers["content-type"].split("boundary=")[1].strip('"').encode()
    parts = [part.split(b"\r\n\r\n", 1) for part in body.split(boundary)[1:-1]]
    return [
        (next(x for x in head.decode().split("\r\n") if "Disposition" in x), data[:-2])
        for head, data in parts
    ]


async def test_no_upload_is_nothing_to_do(work, config):
    assert await output_uploads.send(None, work, config, seconds_left=time_for(3)) == {}


async def test_one_file_is_put(work, config, site, output):
    asked = FilePut(url=site / "put", relative_path="sub/b.bin", signed_headers={"x-amz-a": "b"})
    results = await output_uploads.send(asked, work, config, seconds_left=time_for(3))
    method, _, headers, body = site.asked[0]
    assert (method, body, headers["x-amz-a"]) == ("PUT", b"two", "b")
    assert "content-disposition" not in headers
    result = json.loads(results["sub/b.bin"])
    assert result["body"] == "/put"
    assert result["headers"]["content-length"] == "4"


async def test_one_file_is_posted_after_its_fields(work, config, site, output):
    asked = FilePost(
        url=site / "post", relative_path="sub/b.bin", form_fields={"key": "k/é", "policy": "p"}
    )
    await output_uploads.send(asked, work, config, seconds_left=time_for(3))
    _, _, headers, body = site.asked[0]
    assert int(headers["content-length"]) == len(body)
    assert form(headers, body) == [
        ('Content-Disposition: form-data; name="key"', "k/é".encode()),
        ('Content-Disposition: form-data; name="policy"', b"p"),
        ('Content-Disposition: form-data; name="file"; filename="b.bin"', b"two"),
    ]


async def test_the_whole_output_is_zipped(work, config, site, output):
    assert list(
        await output_uploads.send(ZipPut(url=site / "put"), work, config, seconds_left=time_for(3))
    ) == ["output.zip"]
    assert unzipped(site.asked[0][3]) == {"a.bin": b"one", "sub/b.bin": b"two"}
    await output_uploads.send(
        ZipPost(url=site / "post", form_fields=None), work, config, seconds_left=time_for(3)
    )
    ((disposition, data),) = form(site.asked[1][2], site.asked[1][3])
    assert disposition.endswith('name="file"; filename="output.zip"')
    assert unzipped(data) == {"a.bin": b"one", "sub/b.bin": b"two"}


async def test_many_files_go_at_once_and_the_zip_holds_the_rest(work, config, site, output):
    asked = MultiUpload(
        uploads=[
            FilePut(url=site / "put", relative_path="a.bin"),
            FilePost(url=site / "post", relative_path="a.bin"),
        ],
        system_output=ZipPut(url=site / "zip"),
    )
    assert set(await output_uploads.send(asked, work, config, seconds_left=time_for(3))) == {
        "a.bin",
        "system_output",
    }
    sent = {path: body for _, path, _, body in site.asked}
    assert set(sent) == {"/put", "/post", "/zip"}
    assert unzipped(sent["/zip"]) == {"sub/b.bin": b"two"}


async def test_an_upload_is_tried_three_times(work, config, site, output):
    def answer(request):
        return web.Response(status=200 if len(site.asked) == 3 else 503)

    site.answers["/put"] = answer
    await output_uploads.send(
        FilePut(url=site / "put", relative_path="a.bin"), work, config, seconds_left=time_for(3)
    )
    assert [body for *_, body in site.asked] == [b"one"] * 3


@pytest.mark.parametrize("status", [301, 403, 500])
async def test_a_refused_upload_fails_the_job(work, config, site, output, status):
    site.answers["/put"] = lambda request: web.Response(status=status)
    with pytest.raises(JobError, match=f"Upload failed: 'a.bin': .* HTTP {status}") as failed:
        await output_uploads.send(
            FilePut(url=site / "put", relative_path="a.bin"), work, config, seconds_left=time_for(3)
        )
    assert failed.value.reason is FailureReason.UPLOAD_FAILED


async def test_one_failure_of_many_fails_the_job(work, config, site, output):
    uploads = [FilePut(url=site / "put", relative_path=name) for name in ("a.bin", "missing")]
    with pytest.raises(JobError, match="'missing' cannot be read") as caught:
        await output_uploads.send(
            MultiUpload(uploads=uploads), work, config, seconds_left=time_for(3)
        )
    assert caught.value.context == JobCause.BAD_OUTPUT.context


async def test_a_link_is_not_sent(work, config, site, output, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (output / "link").symlink_to(tmp_path / "secret")
    (output / "folder").symlink_to(tmp_path)
    for path in ("link", "folder/secret"):
        with pytest.raises(JobError, match="cannot be read as a regular file"):
            await output_uploads.send(
                FilePut(url=site / "put", relative_path=path),
                work,
                config,
                seconds_left=time_for(3),
            )
    assert site.asked == []


async def test_outputs_are_bounded(work, config, site, output):
    small = config.model_copy(update={"upload_max_bytes": 2})
    for asked in (FilePut(url=site / "put", relative_path="a.bin"), ZipPut(url=site / "put")):
        with pytest.raises(JobError, match="2 bytes"):
            await output_uploads.send(asked, work, small, seconds_left=time_for(3))
    assert site.asked == []


async def test_of_answers_that_do_not_fit_the_result_the_beginning_is_kept(
    work, config, site, output
):
    site.answers["/put"] = lambda request: web.Response(text='"' * 5 * 2**20)
    asked = FilePut(url=site / "put", relative_path="a.bin")
    results = await output_uploads.send(asked, work, config, seconds_left=time_for(3))
    body = json.loads(results["a.bin"])["body"]
    assert body == '"' * len(body)
    assert len(body) == 2**20
    assert len(results["a.bin"]) <= output_uploads.MAX_RESULTS_BYTES


async def test_answers_of_many_uploads_are_bounded_together(work, config, site, output):
    site.answers["/put"] = lambda request: web.Response(text="x" * 2**19)
    names = [f"f{number}" for number in range(40)]
    for name in names:
        (output / name).touch()
    uploads = [FilePut(url=site / "put", relative_path=name) for name in names]
    asked = MultiUpload(uploads=uploads)
    results = await output_uploads.send(asked, work, config, seconds_left=time_for(3))
    assert results.keys() == set(names)
    assert len(site.asked) == 40
    assert sum(map(len, results.values())) < output_uploads.MAX_RESULTS_BYTES + 40 * 100
    assert all(json.loads(result)["body"].strip("x") == "" for result in results.values())


async def test_a_header_that_would_change_the_request_fails_the_job(work, config, site, output):
    asked = FilePut(
        url=site / "put", relative_path="a.bin", signed_headers={"x": "a\r\nContent-Length: 0"}
    )
    with pytest.raises(JobError, match=r"'a.bin': 127.0.0.1: the header 'x' .* line break"):
        await output_uploads.send(asked, work, config, seconds_left=time_for(3))
    assert site.asked == []


async def test_what_was_printed_is_part_of_the_output(work, config, site):
    (work.output / "stdout.txt").symlink_to("/etc/passwd")
    streams = [CapturedOutput(work.scratch, 10**6) for _ in range(2)]
    streams[0].feed(b"out")
    streams[1].feed(b"err")
    output_uploads.save_streams(*streams, work, output_uploads.LeftOutOfOutput())
    await output_uploads.send(ZipPut(url=site / "zip"), work, config, seconds_left=time_for(3))
    assert unzipped(site.asked[0][3]) == {"stdout.txt": b"out", "stderr.txt": b"err"}


async def test_a_full_disk_is_not_the_job_s_fault(full_disk_work, config, site):
    with (full_disk_work.output / "big").open("wb") as big, pytest.raises(OSError):
        big.write(bytes(2**20))
    with pytest.raises(OSError, match="No space"):
        await output_uploads.send(
            ZipPut(url=site / "zip"), full_disk_work, config, seconds_left=time_for(3)
        )


async def test_a_log_that_the_disk_has_no_room_for_costs_no_other_file(
    full_disk_work, config, site, tmp_path
):
    (full_disk_work.output / "a.bin").write_bytes(b"one")
    streams = [CapturedOutput(tmp_path, 10**6) for _ in range(2)]
    streams[0].feed(bytes(500_000))
    streams[1].feed(b"err")
    leave_out = output_uploads.LeftOutOfOutput()
    output_uploads.save_streams(*streams, full_disk_work, leave_out)
    assert [(one.name, one.size) for one in leave_out.all] == [("/output/stdout.txt", 500_000)]
    asked = FilePut(url=site / "put", relative_path="a.bin")
    await output_uploads.send(asked, full_disk_work, config, seconds_left=time_for(3))
    assert site.asked[0][3] == b"one"
    assert (full_disk_work.output / "stderr.txt").read_bytes() == b"err"
    for one in streams:
        one.close()
