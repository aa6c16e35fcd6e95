"""The command reports what a result lacks, fetches it from the log, and has an exit code for it."""

import base64
import json

import pytest

from compute_horde.protocol import left_out_notes
from compute_horde.protocol.left_out import LeftOut
from compute_horde_sdk.v1 import run
from tests.compute_horde_sdk.cli.test_commands import invoke
from tests.compute_horde_sdk.pretend import ON_THE_WAY, finished, steps

pytestmark = pytest.mark.usefixtures("settings")

BIG = {"name": "/artifacts/big", "size": 2_000_000, "why": "larger than 999,999 bytes"}
FOLDER = {"name": "/artifacts/sub/", "size": 3, "why": "a folder"}
REST = {"name": "", "size": None, "why": "12 more did not fit"}


@pytest.mark.parametrize("command", ["run", "job"])
@pytest.mark.parametrize("lost", [BIG, FOLDER, REST])
def test_with_o_a_left_out_artifact_ends_with_3_after_the_others_are_saved(
    server, tmp_path, lost, command
):
    left = finished(artifacts={"/artifacts/a": "eA=="}, left_out=[lost])
    server.script = steps(end=(0, "completed", left))
    words = ["-o", f".:{tmp_path}/all"]
    done = invoke("run", *(words if command == "run" else ()), "busybox")
    if command == "job":
        assert done.exit_code == 0
        done = invoke("job", *words, done.stderr.split()[1])
    assert done.exit_code == 3
    assert (tmp_path / "all/a").read_bytes() == b"x"
    assert lost["why"] in done.stderr


@pytest.mark.parametrize(
    ("asked", "code"),
    [("a", 0), ("big", 3), ("sub", 3), ("sub/x", 3), ("subtle", 3), ("other", 3)],
)
def test_only_what_o_asks_for_can_be_missing(server, tmp_path, asked, code):
    left = finished(artifacts={"/artifacts/a": "eA=="}, left_out=[BIG, FOLDER])
    server.script = steps(end=(0, "completed", left))
    done = invoke("run", "-o", f"{asked}:{tmp_path}/one", "busybox")
    assert done.exit_code == code
    assert ("3 bytes" in done.stderr) == (asked in ("sub", "sub/x"))


def test_json_says_what_is_left_out_and_truncated_and_how_the_command_ends(server, tmp_path):
    left = finished(left_out=[BIG], truncated={"stdout": 5_000_000})
    server.script = steps(end=(0, "completed", left))
    done = invoke("run", "--json", "-o", f"big:{tmp_path}/big", "busybox")
    document = json.loads(done.stdout)
    assert (document["left_out"], document["truncated"]) == ([BIG], {"stdout": 5_000_000})
    assert (document["exit_code"], done.exit_code) == (3, 3)
    again = json.loads(invoke("job", "--json", document["uuid"]).stdout)
    assert (again["left_out"], again["truncated"]) == ([BIG], {"stdout": 5_000_000})


def test_what_is_left_out_is_no_part_of_the_job_s_stderr(server):
    note = left_out_notes.of_left_out([LeftOut(**BIG), LeftOut(**FOLDER)])
    left = finished(stderr=f"err\n{note}", left_out=[BIG, FOLDER])
    server.script = steps(*ON_THE_WAY, end=(0, "completed", left))
    done = invoke("run", "--json", "busybox")
    document = json.loads(done.stdout)
    assert document["stderr"] == "err\n"
    assert json.loads(invoke("job", "--json", document["uuid"]).stdout)["stderr"] == "err\n"
    plain = invoke("run", "busybox").stderr
    assert plain.endswith(
        "err\n"
        "left out: /artifacts/big (2,000,000 bytes): larger than 999,999 bytes\n"
        "left out: /artifacts/sub/ (3 bytes): a folder\n"
    )


def test_that_a_stream_was_cut_is_no_part_of_it(server):
    left = finished("a" * 30 + left_out_notes.OUTPUT_TRUNCATED, truncated={"stdout": 5_000_000})
    server.script = steps(*ON_THE_WAY, end=(0, "completed", left))
    assert json.loads(invoke("run", "--json", "busybox").stdout)["stdout"] == "a" * 30


LONG = "".join(f"{number:09}\n" for number in range(150_000))
CUT = LONG[:500_000] + " ... " + LONG[-500_000:]


def test_output_that_the_result_cuts_is_fetched_from_the_log(server):
    pieces = [LONG[at : at + 2**16] for at in range(0, len(LONG), 2**16)]
    server.log = [{"stream": "stdout", "text": piece} for piece in pieces]
    left = finished(CUT, truncated={"stdout": len(LONG)})
    server.script = steps(end=(0, "completed", left))
    document = json.loads(invoke("run", "--json", "busybox").stdout)
    assert document["stdout"] == LONG
    assert document["truncated"] == {}
    assert invoke("run", "busybox").stdout == LONG


@pytest.mark.parametrize("log", [None, [], [{"stream": "stdout", "text": "another log"}]])
def test_output_that_no_log_holds_is_said_to_be_cut(server, log):
    server.log = log
    server.script = steps(end=(0, "completed", finished(CUT, truncated={"stdout": len(LONG)})))
    done = invoke("run", "busybox")
    assert "the middle of stdout is left out: the job printed 1,500,000 bytes" in done.stderr
    assert done.exit_code == 0


BINARY = bytes(range(256)) * 3
TEXT = BINARY.decode(errors="replace")
RAW = {"stdout": base64.b64encode(BINARY).decode()}


@pytest.mark.parametrize("cuts", [None, [], [5], [130, 131, 300]])
@pytest.mark.parametrize("fails", [False, True])
def test_a_pipe_gets_the_bytes_of_output_that_is_no_text(server, cuts, fails):
    left = finished(TEXT, raw_output=RAW)
    if fails:
        details = {"docker_process_stdout": TEXT, "raw_output": RAW, "message": "m"}
        details |= {"reason": "nonzero_return_code", "docker_process_exit_status": 3}
        left = {"job_failure_details": details | {"stage": "execution"}}
    if cuts is not None:
        pieces = [TEXT[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
        server.log = [{"stream": "stdout", "text": text} for text in pieces]
    server.script = steps(*ON_THE_WAY, end=(0.2, "failed" if fails else "completed", left))
    done = invoke("run", "busybox")
    assert done.exit_code == (3 if fails else 0)
    assert done.stdout_bytes == BINARY


def test_bytes_are_in_the_result_and_in_json(server):
    server.script = steps(*ON_THE_WAY, end=(0, "completed", finished(TEXT, raw_output=RAW)))
    result = run("busybox")
    assert (result.stdout_bytes, result.stderr_bytes) == (BINARY, b"")
    assert result.job.result.stdout_bytes == BINARY
    assert json.loads(invoke("run", "--json", "busybox").stdout)["raw_output"] == RAW


@pytest.mark.parametrize("raw", [{"stdout": "no base64!"}, ["x"], {"stdout": 7}, 5])
def test_malformed_raw_output_costs_only_itself(server, raw):
    server.script = steps(*ON_THE_WAY, end=(0, "completed", finished("text", raw_output=raw)))
    result = run("busybox")
    assert (result.stdout, result.stdout_bytes) == ("text", b"text")


LONG_TEXT = (b"\xff" * 800_000).decode(errors="replace")
LONGER_TEXT = LONG_TEXT * 2


@pytest.mark.parametrize("text", [LONG_TEXT, LONGER_TEXT])
@pytest.mark.parametrize("has_log", [False, True])
def test_a_pipe_that_lacks_the_bytes_of_what_is_no_text_is_told_so(server, text, has_log):
    shown = text if len(text) <= 1_000_000 else text[:500_000] + " ... " + text[-500_000:]
    if has_log:
        pieces = [text[at : at + 2**16] for at in range(0, len(text), 2**16)]
        server.log = [{"stream": "stdout", "text": piece} for piece in pieces]
    left = finished(shown, truncated={"stdout": len(text)})
    server.script = steps(end=(0, "completed", left))
    done = invoke("run", "busybox")
    assert done.exit_code == 3
    assert f"its {len(text):,} bytes are not UTF-8" in done.stderr
    document = json.loads(invoke("run", "--json", "busybox").stdout)
    assert (document["truncated"], document["not_text"]) == ({"stdout": len(text)}, ["stdout"])


def test_what_is_no_text_on_stderr_alone_is_told_and_fails_nothing(server):
    left = finished("text", docker_process_stderr=LONG_TEXT, truncated={"stderr": 800_000})
    server.script = steps(end=(0, "completed", left))
    done = invoke("run", "busybox")
    assert (done.exit_code, done.stdout) == (0, "text")
    assert "stderr is not as the job printed it" in done.stderr
