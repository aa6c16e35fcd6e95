"""The scripts run in a real shell; what they print is read back as the job's result."""

import os
import subprocess
import tempfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_horde_sdk.fallback import script
from compute_horde_sdk.fallback.spec import FallbackJobSpec
from compute_horde_sdk.volumes import HTTPInputVolume, HTTPOutputVolume, InlineInputVolume


def shell(code):
    return subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def setup(spec, root):
    """Run the set-up with the two mounts in `root`."""
    return shell(
        script.setup(spec).replace("/volume", f"{root}/volume").replace("/output", f"{root}/output")
    )


@settings(max_examples=15, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\0")), st.integers(0, 255))
def test_output_and_exit_status_come_back_as_they_were(text, status):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        done = shell(
            script.run(FallbackJobSpec(run=f"cat {file.name}; echo err >&2; exit {status}"))
        )
    assert done.returncode == status
    # SkyPilot puts a prefix before each line.
    result = script.result("".join(f"(job) {line}\n" for line in done.stdout.splitlines()))
    assert (result.stdout, result.stderr) == (text, "err\n")


def test_artifacts_come_back_unless_they_are_too_large(tmp_path):
    binary = bytes(range(256)) * 40
    (tmp_path / "a b'").write_bytes(binary)
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(bytes(script.MAX_ARTIFACT_BYTES))
    done = shell(script.run(FallbackJobSpec(artifacts_dir=str(tmp_path))))
    assert script.result(done.stdout).artifacts == {
        f"{tmp_path}/a b'": binary,
        f"{tmp_path}/empty": b"",
    }


def test_a_job_runs_in_its_folder_or_fails(tmp_path):
    spec = FallbackJobSpec(run="pwd", work_dir=str(tmp_path))
    assert script.result(shell(script.run(spec)).stdout).stdout == f"{tmp_path}\n"
    assert shell(script.run(FallbackJobSpec(work_dir=f"{tmp_path}/none"))).returncode == 1


def test_inline_inputs_are_unpacked_before_the_job(tmp_path):
    volume = InlineInputVolume.from_file_contents("x y", b"\x00in")
    spec = FallbackJobSpec(input_volumes={"/volume/a b": volume}, artifacts_dir=f"{tmp_path}/left")
    assert setup(spec, tmp_path).returncode == 0
    assert (tmp_path / "volume" / "a b" / "x y").read_bytes() == b"\x00in"
    assert (tmp_path / "output").is_dir()
    assert (tmp_path / "left").is_dir()


def test_an_input_that_cannot_be_unpacked_fails_the_job(tmp_path):
    good = InlineInputVolume.from_file_contents("x", b"in")
    spec = FallbackJobSpec(
        input_volumes={"/volume/a": InlineInputVolume(contents="eA=="), "/volume/b": good}
    )
    assert setup(spec, tmp_path).returncode != 0


class Handler(BaseHTTPRequestHandler):
    """Answers GET with its path, and keeps what is uploaded."""

    def do_GET(self):
        self.answer(404 if self.path == "/none" else 200, f"got {self.path}".encode())

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.uploads.append((self.path, self.headers["X-Key"], body))
        self.answer(403 if self.path == "/refused" else 200, b"kept")

    do_POST = do_PUT

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def storage(monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.uploads = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_is_downloaded_and_a_missing_one_fails_the_job(tmp_path, storage):
    there = HTTPInputVolume(url=f"{storage.url}/?a=1&b='2'")
    spec = FallbackJobSpec(input_volumes={"/volume/deep/f": there})
    assert setup(spec, tmp_path).returncode == 0
    assert (tmp_path / "volume/deep/f").read_text() == "got /?a=1&b='2'"
    absent = HTTPInputVolume(url=f"{storage.url}/none")
    assert setup(FallbackJobSpec(input_volumes={"/volume/f": absent}), tmp_path).returncode != 0


def run_with_upload(folder, storage, path, **more):
    """Run a job that leaves `out` to be uploaded; the real /output is not written to."""
    (folder / "out").write_text("left")
    volume = HTTPOutputVolume(url=storage.url + path, **more)
    spec = FallbackJobSpec(output_volumes={"/output/out": volume}, run="true")
    return shell(script.run(spec).replace("/output/out", str(folder / "out")))


def test_an_upload_s_response_comes_back(tmp_path, storage):
    done = run_with_upload(
        tmp_path, storage, "/up?x&y", http_method="PUT", signed_headers={"X-Key": "k v"}
    )
    assert done.returncode == 0
    assert storage.uploads == [("/up?x&y", "k v", b"left")]
    (answer,) = script.result(done.stdout).upload_results.values()
    assert (answer.body, answer.headers["etag"]) == ("kept", '"e"')


def test_a_form_has_its_fields_and_the_file(tmp_path, storage):
    fields = {"policy": "a=b; @c"}
    done = run_with_upload(tmp_path, storage, "/f", http_method="POST", form_fields=fields)
    assert done.returncode == 0
    ((_, _, body),) = storage.uploads
    assert b'name="policy"\r\n\r\na=b; @c\r\n' in body
    assert b"\r\n\r\nleft\r\n" in body


def test_a_refused_upload_fails_the_job(tmp_path, storage):
    done = run_with_upload(tmp_path, storage, "/refused", http_method="PUT")
    assert done.returncode == 1
    assert script.result(done.stdout).upload_results == {}


def test_a_failed_job_uploads_nothing(storage):
    volume = HTTPOutputVolume(http_method="PUT", url=f"{storage.url}/up")
    spec = FallbackJobSpec(run="exit 4", output_volumes={"/output/out": volume})
    assert shell(script.run(spec)).returncode == 4
    assert storage.uploads == []
    assert not Path("/output/out").exists()


@given(st.lists(st.text("=/+AZz9 %"), min_size=1))
def test_malformed_lines_of_a_log_are_no_output(pieces):
    noise = "\n".join(f"ch64:artifact/{one}:{one}\nch64:stderr:{one}=" for one in pieces)
    assert script.result(f"{noise}\nch64:stdout:aGk=\nch64:stdout").stdout == "hi"
