"""Terminals get no control sequences from a facilitator's texts or a job's output."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde_sdk.cli.terminal_filter import COLOUR, TerminalFilter
from tests.compute_horde_sdk.cli.test_commands import invoke
from tests.compute_horde_sdk.pretend import ON_THE_WAY, finished, steps

COMMAND = [sys.executable, "-m", "compute_horde_sdk"]
PIECES = st.lists(
    st.sampled_from(["\x1b", "[", "3", "1", ";", "m", "]0;x\x07", "\x9b2J", "a", "\n", "é", "\0"])
    | st.text(max_size=5)
)
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b2J"
STEERS = re.compile(rb"\x1b\]0;owned|\x1b\[2J|\xc2\x9b|\x07")


def shown(pieces):
    one = TerminalFilter()
    return "".join(map(one.feed, pieces)) + one.close()


@given(PIECES)
def test_only_colours_are_left_however_the_text_is_cut(pieces):
    rest = re.sub(COLOUR, "", shown(pieces))
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", rest)
    assert shown(pieces) == shown(["".join(pieces)])


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_text_stays_what_it_is(text):
    assert shown([text, "\n\t\r"]) == text + "\n\t\r"


def test_colours_end_with_the_output():
    assert shown(["\x1b[3", "1mred"]) == "\x1b[31mred\x1b[0m"


def hostile(value):
    """The same JSON with an escape sequence in every free-text value."""
    fixed = {"uuid", "status", "created_at", "reason", "stage"}
    if isinstance(value, dict):
        return {
            (key if key in KEYS else key + EVIL): inner if key in fixed else hostile(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return value + EVIL if isinstance(value, str) else value


FAILED = {
    "job_failure_details": {
        "reason": "nonzero_return_code", "message": "m", "stage": "execution",
        "docker_process_exit_status": 3, "docker_process_stdout": "out",
        "docker_process_stderr": "err",
    }
}  # fmt: skip
KEYS = {
    "uuid", "executor_class", "created_at", "docker_image", "args", "env", "stdout", "stderr",
    "artifacts", "upload_results", "status_history", "status", "metadata", "reason", "message",
    "stage", "docker_process_exit_status", "docker_process_stdout", "docker_process_stderr",
    "job_failure_details", "miner_response", "streaming_server_cert", "streaming_server_address",
    "streaming_server_port", "left_out", "truncated",
}  # fmt: skip


def on_a_terminal(*words):
    """All that the command writes to a terminal that is its stdout and stderr."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    found = b""
    while True:
        try:
            found += os.read(master, 65536)
        except OSError:
            break
    os.close(master)
    process.wait(30)
    return found


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    "words",
    ["run busybox", "jobs", "job UUID", "job --wait UUID", "job -o .:DIR UUID", "logs -f UUID"],
)
@pytest.mark.parametrize("end", ["completed", "failed"])
def test_a_hostile_facilitator_and_job_steer_nothing(server, monkeypatch, tmp_path, words, end):
    artifacts = {"/artifacts/a": "eA=="}
    left = finished("out", "err", artifacts=artifacts) if end == "completed" else FAILED
    server.script = steps(*ON_THE_WAY, end=(0, end, hostile(left)))
    server.log = [{"stream": "stdout", "text": f"log{EVIL}"}, {"stream": "stderr", "text": EVIL}]
    invoke("run", "busybox")
    (uuid,) = server.jobs
    as_json = type(server.jobs[uuid]).as_json
    monkeypatch.setattr(type(server.jobs[uuid]), "as_json", lambda job: hostile(as_json(job)))
    line = words.replace("UUID", uuid).replace("DIR", str(tmp_path / "o"))
    found = on_a_terminal(*line.split())
    assert found
    assert not STEERS.search(found), found


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("words", ["run --raw busybox", "logs --raw UUID", "job --raw -w UUID"])
def test_who_asks_for_it_gets_all_of_it(server, words):
    server.log = [{"stream": "stdout", "text": f"log{EVIL}\n"}]
    server.script = steps(*ON_THE_WAY, end=(0, "completed", finished(f"log{EVIL}\n")))
    invoke("run", "busybox")
    assert EVIL.encode() in on_a_terminal(*words.replace("UUID", next(iter(server.jobs))).split())


@pytest.mark.usefixtures("settings")
def test_a_pipe_gets_the_bytes_as_they_are(server):
    server.script = steps(*ON_THE_WAY, end=(0, "completed", finished(f"out{EVIL}")))
    done = subprocess.run([*COMMAND, "run", "busybox"], capture_output=True, check=False)
    assert done.stdout == f"out{EVIL}".encode()
    done = subprocess.run([*COMMAND, "run", "--json", "busybox"], capture_output=True, check=False)
    assert json.loads(done.stdout)["stdout"] == f"out{EVIL}"
    assert not STEERS.search(done.stdout)
