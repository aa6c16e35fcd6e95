"""What a job made is sent exactly as asked, and nothing else is."""

import io
import json
import zipfile

import pytest
from aiohttp import web

from compute_horde.errors import JobError
from compute_horde.uploads import FilePost, FilePut, MultiUpload, ZipPost, ZipPut
from compute_horde.vocabulary import FailureReason
from executor.stages import upload
from executor.transcript import Transcript


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
    monkeypatch.setattr("executor.web.FIRST_WAIT_SECONDS", 0)


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
    assert await upload.send(None, work, config) == {}


async def test_one_file_is_put(work, config, site, output):
    asked = FilePut(url=site / "put", relative_path="sub/b.bin", signed_headers={"x-amz-a": "b"})
    results = await upload.send(asked, work, config)
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
    await upload.send(asked, work, config)
    _, _, headers, body = site.asked[0]
    assert int(headers["content-length"]) == len(body)
    assert form(headers, body) == [
        ('Content-Disposition: form-data; name="key"', "k/é".encode()),
        ('Content-Disposition: form-data; name="policy"', b"p"),
        ('Content-Disposition: form-data; name="file"; filename="b.bin"', b"two"),
    ]


async def test_the_whole_output_is_zipped(work, config, site, output):
    assert list(await upload.send(ZipPut(url=site / "put"), work, config)) == ["output.zip"]
    assert unzipped(site.asked[0][3]) == {"a.bin": b"one", "sub/b.bin": b"two"}
    await upload.send(ZipPost(url=site / "post", form_fields=None), work, config)
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
    assert set(await upload.send(asked, work, config)) == {"a.bin", "system_output"}
    sent = {path: body for _, path, _, body in site.asked}
    assert set(sent) == {"/put", "/post", "/zip"}
    assert unzipped(sent["/zip"]) == {"sub/b.bin": b"two"}


async def test_an_upload_is_tried_three_times(work, config, site, output):
    def answer(request):
        return web.Response(status=200 if len(site.asked) == 3 else 503)

    site.answers["/put"] = answer
    await upload.send(FilePut(url=site / "put", relative_path="a.bin"), work, config)
    assert [body for *_, body in site.asked] == [b"one"] * 3


@pytest.mark.parametrize("status", [301, 403, 500])
async def test_a_refused_upload_fails_the_job(work, config, site, output, status):
    site.answers["/put"] = lambda request: web.Response(status=status)
    with pytest.raises(JobError, match=f"Upload failed: 'a.bin': .* HTTP {status}") as failed:
        await upload.send(FilePut(url=site / "put", relative_path="a.bin"), work, config)
    assert failed.value.reason is FailureReason.UPLOAD_FAILED


async def test_one_failure_of_many_fails_the_job(work, config, site, output):
    uploads = [FilePut(url=site / "put", relative_path=name) for name in ("a.bin", "missing")]
    with pytest.raises(JobError, match="'missing' cannot be read"):
        await upload.send(MultiUpload(uploads=uploads), work, config)


async def test_a_link_is_not_sent(work, config, site, output, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (output / "link").symlink_to(tmp_path / "secret")
    (output / "folder").symlink_to(tmp_path)
    for path in ("link", "folder/secret"):
        with pytest.raises(JobError, match="cannot be read as a regular file"):
            await upload.send(FilePut(url=site / "put", relative_path=path), work, config)
    assert site.asked == []


async def test_outputs_are_bounded(work, config, site, output):
    small = config.model_copy(update={"upload_max_bytes": 2})
    for asked in (FilePut(url=site / "put", relative_path="a.bin"), ZipPut(url=site / "put")):
        with pytest.raises(JobError, match="2 bytes"):
            await upload.send(asked, work, small)
    assert site.asked == []


async def test_answers_that_do_not_fit_the_result_fail_the_job(work, config, site, output):
    site.answers["/put"] = lambda request: web.Response(text="x" * 5 * 2**20)
    with pytest.raises(JobError, match="answers are longer"):
        await upload.send(FilePut(url=site / "put", relative_path="a.bin"), work, config)


async def test_answers_of_many_uploads_are_bounded_together(work, config, site, output):
    site.answers["/put"] = lambda request: web.Response(text="x" * 2**19)
    names = [f"f{number}" for number in range(40)]
    for name in names:
        (output / name).touch()
    uploads = [FilePut(url=site / "put", relative_path=name) for name in names]
    with pytest.raises(JobError, match="answers are longer"):
        await upload.send(MultiUpload(uploads=uploads), work, config)
    assert len(site.asked) < 30


async def test_a_header_that_would_change_the_request_fails_the_job(work, config, site, output):
    asked = FilePut(
        url=site / "put", relative_path="a.bin", signed_headers={"x": "a\r\nContent-Length: 0"}
    )
    with pytest.raises(JobError, match=r"'a.bin': 127.0.0.1: the header 'x' .* line break"):
        await upload.send(asked, work, config)
    assert site.asked == []


async def test_what_was_printed_is_part_of_the_output(work, config, site):
    (work.output / "stdout.txt").symlink_to("/etc/passwd")
    streams = [Transcript(work.scratch, 10**6) for _ in range(2)]
    streams[0].feed(b"out")
    streams[1].feed(b"err")
    upload.keep_printed(*streams, work)
    await upload.send(ZipPut(url=site / "zip"), work, config)
    assert unzipped(site.asked[0][3]) == {"stdout.txt": b"out", "stderr.txt": b"err"}


async def test_a_full_disk_is_not_the_job_s_fault(full_disk_work, config, site):
    with (full_disk_work.output / "big").open("wb") as big, pytest.raises(OSError):
        big.write(bytes(2**20))
    with pytest.raises(OSError, match="No space"):
        await upload.send(ZipPut(url=site / "zip"), full_disk_work, config)
