"""The files of a folder are sent unchanged, or reported as not sent."""

import base64
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile

import pytest

from compute_horde_sdk import local_files
from compute_horde_sdk.cli.exit_codes import Exit
from compute_horde_sdk.input_output_files import MAX_RAW_BYTES, input_volumes
from compute_horde_sdk.local_files import SkippedInput
from compute_horde_sdk.v1 import InvalidRequestError, run

COMMAND = [sys.executable, "-m", "compute_horde_sdk"]


def sent(folder):
    """The files sent of `folder`, and those left out, by name."""
    skipped = []
    (volume,) = input_volumes([(folder, "in")], skipped.append).values()
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(volume.contents)))
    arrived = {info.filename: archive.read(info) for info in archive.infolist()}
    return arrived, {os.path.relpath(one.path, folder): one.reason for one in skipped}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("f")
    return tmp_path / "in"


def test_links_are_what_they_lead_to(folder, tmp_path):
    (tmp_path / "else" / "deep").mkdir(parents=True)
    (tmp_path / "else" / "deep" / "b").write_text("b")
    (folder / "linked").symlink_to(tmp_path / "else")
    (folder / "same").symlink_to("file")
    assert sent(folder) == ({"file": b"f", "same": b"f", "linked/deep/b": b"b"}, {})


def test_empty_folders_arrive(folder):
    (folder / "empty" / "deeper").mkdir(parents=True)
    assert sent(folder) == ({"file": b"f", "empty/deeper/": b""}, {})


def test_what_cannot_be_sent_is_named_with_the_reason(folder):
    os.mkfifo(folder / "fifo")
    (folder / "broken").symlink_to("nowhere")
    (folder / "circle").symlink_to(".")
    (folder / "around").symlink_to("around")
    (folder / "back\\slash").write_text("x")
    (folder / "d").mkdir()
    (folder / "d" / "fifo").symlink_to("../fifo")
    with open(os.fsencode(folder) + b"/latin-\xe9", "w"):
        pass
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket"))
    arrived, skipped = sent(folder)
    server.close()
    assert arrived == {"file": b"f", "d/": b""}
    assert skipped == {
        "fifo": "is a FIFO",
        "d/fifo": "is a FIFO",
        "socket": "is a socket",
        "broken": "is a link that leads nowhere",
        "around": "is a link that leads nowhere",
        "circle": "is a link to a folder that it is in",
        "back\\slash": "has a name that holds a NUL or a backslash",
        "latin-\\udce9": "has a name that is not UTF-8",
    }


def test_every_entry_of_a_folder_arrives_or_is_named(folder):
    """Files of other kinds are reported, too."""
    for n, name in enumerate(
        ["a b", "ü", "\n", "\u202f", "'", "-", "~", "." * 3, "x" * 255, "\x1b"]
    ):
        (folder / name).write_text(str(n))
    arrived, skipped = sent(folder)
    there = {entry.name for entry in os.scandir(folder)}
    assert set(arrived) | set(skipped) == there


def test_a_link_that_leads_back_ends_however_deep_it_is(folder):
    deep = folder
    for _ in range(400):
        deep = deep / "d"
        deep.mkdir()
    (deep / "up").symlink_to(folder)
    arrived, skipped = sent(folder)
    assert list(skipped.values()) == ["is a link to a folder that it is in"]
    assert len(arrived) == 2


@pytest.mark.parametrize("how", ["plain", "link"])
def test_a_fifo_is_refused_by_name_whether_or_not_anybody_writes_to_it(tmp_path, how):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    named = tmp_path / ("fifo" if how == "plain" else "link")
    with pytest.raises(InvalidRequestError, match=f"{named}' is a FIFO; .* pipe it to stdin"):
        input_volumes([(named, "in/name")])


@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd"])
def test_a_pipe_that_was_passed_open_is_read(folder):
    reader, writer = os.pipe()
    os.write(writer, b"hi\n")
    os.close(writer)
    (volume,) = input_volumes([(f"{folder}/{reader}", "in/name")]).values()
    os.close(reader)
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(volume.contents)))
    assert archive.read("name") == b"hi\n"


def test_a_home_of_nobody_is_refused_by_name():
    with pytest.raises(InvalidRequestError, match="'~no-such-user/x' names a user"):
        input_volumes([("~no-such-user/x", "in/name")])


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused_by_name(device):
    with pytest.raises(InvalidRequestError, match=f"{device}' is a device"):
        input_volumes([(device, "in/name")])


def test_a_file_that_became_a_fifo_meanwhile_is_not_waited_for(tmp_path):
    source = local_files.open_source(str(shutil.copy(__file__, tmp_path / "a")), MAX_RAW_BYTES)
    (tmp_path / "a").unlink()
    os.mkfifo(tmp_path / "a")
    with pytest.raises(InvalidRequestError, match="no regular file any more"):
        source.read()


def test_a_socket_is_refused_by_name(tmp_path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    with pytest.raises(InvalidRequestError, match="is a socket"):
        input_volumes([(tmp_path / "socket", "in/name")])
    server.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_what_this_user_may_not_read_is_named(tmp_path, folder):
    (folder / "closed").mkdir(0o700)
    code = (
        "import os, sys\n"
        "from compute_horde_sdk.input_output_files import input_volumes\n"
        "os.setuid(65534)\n"
        "try: input_volumes([(sys.argv[1], 'in')])\n"
        "except Exception as exc: print(type(exc).__name__, exc)"
    )
    for parent in [folder, *folder.parents][:-1]:
        if parent.stat().st_uid == os.geteuid() and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("InvalidRequestError")
    assert "closed cannot be read" in done.stdout


def test_what_is_left_out_is_said_before_the_job_is_sent_and_in_the_result(
    settings, server, folder
):
    os.mkfifo(folder / "fifo")
    seen = []
    result = run(
        "image",
        inputs={folder: "in"},
        notice_callback=lambda text: seen.append((text, len(server.jobs))),
    )
    assert result.inputs_left_out == [SkippedInput(f"{folder}/fifo", "is a FIFO")]
    assert seen == [(f"{folder}/fifo is not sent: it is a FIFO", 0)]
    done = subprocess.run(
        [*COMMAND, "run", "--json", "-i", f"{folder}:in", "image"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert lines[0] == f"{folder}/fifo is not sent: it is a FIFO"
    left_out = json.loads(done.stdout)["inputs_left_out"]
    assert left_out == [{"path": f"{folder}/fifo", "reason": "is a FIFO"}]


def volume_of(server):
    (job,) = server.jobs.values()
    (volume,) = job.body["volumes"]
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(volume["contents"])))
    return {name: archive.read(name) for name in archive.namelist()}


def shell(line, **options):
    known = {"CH": f"{sys.executable} -m compute_horde_sdk"}
    return subprocess.run(
        [shutil.which("bash"), "-c", line], capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | known, **options,
    )  # fmt: skip


def test_stdin_travels_as_a_file(settings, server):
    done = shell("printf 'a\\0b' | $CH run -i -:in/data busybox")
    assert done.returncode == 0, done.stderr
    assert volume_of(server) == {"data": b"a\0b"}


def test_what_a_command_prints_is_an_input_in_the_shell_s_own_way(settings, server):
    done = shell("$CH run -i <(echo hi):in/data busybox")
    assert done.returncode == 0, done.stderr
    assert volume_of(server) == {"data": b"hi\n"}


@pytest.mark.parametrize("line", ["echo x | $CH run busybox", "$CH run busybox <<<x"])
def test_stdin_that_nobody_takes_is_refused_by_name(settings, server, line):
    done = shell(line)
    assert done.returncode == Exit.NOT_RUN
    assert "-i -:NAME" in done.stderr
    assert not server.jobs


def test_stdin_too_large_to_travel_is_refused(settings, server):
    done = shell("head -c 2000000 /dev/urandom | $CH run -i -:in/data busybox")
    assert done.returncode == 125
    assert "too large to travel" in done.stderr
    assert not server.jobs


def test_stdin_without_a_name_is_told(settings, server):
    done = shell("echo x | $CH run -i -:in/ busybox")
    assert "stdin has no name" in done.stderr


def test_an_idle_or_empty_stdin_is_no_input(settings, server):
    assert shell("$CH run busybox </dev/null").returncode == 0
    assert shell("true | $CH run busybox").returncode == 0
    idle, writing = os.pipe()
    assert shell("$CH run busybox", stdin=idle).returncode == 0
    os.close(idle)
    os.close(writing)
