"""The command does what a shell expects of it: streams, exit codes, files, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from compute_horde_sdk.cli import rendering
from compute_horde_sdk.cli.commands import Exit, app
from tests.compute_horde_sdk.pretend import ON_THE_WAY, finished, steps
from tests.compute_horde_sdk.test_jobs import FAILURE, HORDE

pytestmark = pytest.mark.usefixtures("settings")

COMMAND = [sys.executable, "-m", "compute_horde_sdk"]


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def failed(reason, **more):
    return {"job_failure_details": {"reason": reason, "message": "m", "stage": "s"} | more}


def test_a_job_s_output_and_its_states_go_different_ways(server):
    server.script = steps(*ON_THE_WAY, end=(0, "completed", finished("out", "err\n")))
    done = invoke("run", "busybox", "echo", "-n", "out")
    assert done.exit_code == 0
    assert done.stdout == "out"
    lines = done.stderr.splitlines()
    assert lines[0] == f"job {next(iter(server.jobs))}"
    assert [line.split()[3] for line in lines[1:-1]] == ["sent", *ON_THE_WAY, "completed"]
    assert lines[-1] == "err"
    assert server.jobs[lines[0][4:]].body["args"] == ["echo", "-n", "out"]


def test_inputs_environment_and_limits_reach_the_job(server, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("a")
    done = invoke(
        "run", "-e", "A=b=c", "-e", "EMPTY=", "-i", f"{tmp_path}/in:/volume/data",
        "-i", "https://x.example/m:/volume/m", "--class", "always_on.llm.a6000", "--trusted",
        "--namespace", "SN1.0", "--execution-limit", 7, "--artifacts-dir", "/left", "busybox",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    body = next(iter(server.jobs.values())).body
    assert body["env"] == {"A": "b=c", "EMPTY": ""}
    assert {volume["relative_path"] for volume in body["volumes"]} == {"data", "m"}
    assert body["executor_class"] == "always_on.llm.a6000"
    assert (body["on_trusted_miner"], body["job_namespace"]) == (True, "SN1.0")
    assert (body["execution_time_limit"], body["artifacts_dir"]) == (7, "/left")


def test_artifacts_come_back_to_where_they_are_wanted(server, tmp_path):
    left = finished(artifacts={"/artifacts/a": "eA==", "/artifacts/b": "eQ=="})
    server.script = steps(end=(0, "completed", left))
    done = invoke("run", "-o", f"a:{tmp_path}/one", "-o", f".:{tmp_path}/all", "busybox")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "one").read_bytes() == b"x"
    assert {p.name: p.read_bytes() for p in (tmp_path / "all").iterdir()} == {"a": b"x", "b": b"y"}
    assert f"saved {tmp_path}/one" in done.stderr


def test_a_missing_artifact_has_its_exit_code_and_the_output_is_not_lost(server, tmp_path):
    done = invoke("run", "-o", f"a:{tmp_path}/one", "busybox")
    assert done.exit_code == Exit.OUTPUT_MISSING
    assert done.stdout == "hi\n"
    assert "it left nothing" in done.stderr


def test_a_server_cannot_write_outside_the_target(server, tmp_path):
    left = finished(artifacts={"/artifacts/../../evil": "eA=="})
    server.script = steps(end=(0, "completed", left))
    done = invoke("run", "-o", f".:{tmp_path}/in/deep", "busybox")
    assert done.exit_code == Exit.OUTPUT_MISSING
    assert not [p for p in tmp_path.rglob("*") if p.name == "evil"]


@pytest.mark.parametrize(
    ("status", "metadata", "code"),
    [
        ("failed", FAILURE, 3),
        ("failed", failed("timeout", docker_process_exit_status=137), Exit.TIMED_OUT),
        ("failed", failed("download_failed"), Exit.JOB_FAILED),
        ("failed", failed("upload_failed", docker_process_exit_status=0), Exit.JOB_FAILED),
        ("failed", HORDE, Exit.HORDE_FAILED),
        ("horde_failed", HORDE, Exit.HORDE_FAILED),
        ("rejected", {}, Exit.HORDE_FAILED),
    ],
)
def test_the_exit_code_says_whose_fault_it_was(server, status, metadata, code):
    server.script = steps("received", end=(0, status, metadata))
    done = invoke("run", "busybox")
    assert done.exit_code == code
    assert f"ended {status}" in done.stderr.splitlines()[-1]


def test_a_failed_job_s_output_is_shown(server):
    server.script = steps("received", end=(0, "failed", FAILURE))
    done = invoke("run", "busybox")
    assert done.stdout == "so far"
    assert "oops" in done.stderr


def test_a_wait_may_run_out(server):
    server.script = steps("received")
    done = invoke("run", "--timeout", "0.2", "busybox")
    assert done.exit_code == Exit.TIMED_OUT
    assert f"compute-horde job {next(iter(server.jobs))}" in done.stderr


def test_json_is_one_object(server):
    server.script = steps(*ON_THE_WAY, end=(0, "failed", FAILURE))
    done = invoke("run", "--json", "busybox")
    document = json.loads(done.stdout)
    assert done.exit_code == document["exit_code"] == 3
    assert document["uuid"] in server.jobs
    assert (document["status"], document["stdout"], document["stderr"]) == (
        "failed",
        "so far",
        "oops",
    )
    assert document["error"]["reason"] == "nonzero_return_code"
    assert [one["status"] for one in document["statuses"]] == ["sent", *ON_THE_WAY, "failed"]


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["-e", "A", "busybox"], Exit.NOT_RUN, "'A'"),
        (["-i", "nowhere", "busybox"], Exit.NOT_RUN, "nowhere"),
        (["-i", "a:x", "-i", "a:y", "busybox"], Exit.NOT_RUN, "clash"),
        (["-e", "A=1", "-e", "A=2", "busybox"], Exit.NOT_RUN, "clash"),
        (["-i", "nowhere:x", "busybox"], Exit.NOT_RUN, "nowhere"),
        (["--validator-hotkey", "5Abc", "busybox"], Exit.NOT_RUN, "it has 4 characters"),
        (["--class", "big", "busybox"], Exit.NOT_RUN, "always_on.test"),
        (["--hotkey-file", "/no/such", "busybox"], Exit.NOT_RUN, "/no/such"),
        (["--facilitator-url", "http://127.0.0.1:9", "busybox"], Exit.NOT_RUN, "127.0.0.1:9"),
        (["--facilitator-url", "gopher://x", "busybox"], Exit.NOT_RUN, "gopher"),
        (["--env-file", "/no/such", "busybox"], Exit.NOT_RUN, "/no/such"),
        ([], Exit.NOT_RUN, "IMAGE"),
    ],
)
def test_what_cannot_run_is_told_without_a_traceback(words, code, complaint):
    done = invoke("run", *words)
    assert done.exit_code == code
    assert complaint.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_a_refusing_facilitator_is_told(server):
    server.allowed.clear()
    done = invoke("run", "busybox")
    assert done.exit_code == Exit.NOT_RUN
    assert "ask the facilitator's operator" in done.stderr


def test_jobs_are_listed(server):
    for _ in range(3):
        invoke("run", "busybox")
    for job in server.jobs.values():
        job.body["docker_image"] = "busy\x1b[31mbox"
    done = invoke("jobs", "--limit", 2)
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["UUID", "STATUS", "CREATED", "CLASS", "IMAGE"]
    assert [row.split()[0] for row in rows] == list(server.jobs)[:0:-1]
    assert "\x1b" not in done.stdout
    assert [
        one["uuid"]
        for one in json.loads(invoke("jobs", "--page", 2, "--limit", 2, "--json").stdout)
    ] == [next(iter(server.jobs))]


def test_one_job_is_shown_at_length(server):
    left = finished("one\x1b[2Jtwo\n", artifacts={"/artifacts/a": "eA=="})
    server.script = steps(*ON_THE_WAY, end=(0, "completed", left))
    invoke("run", "busybox")
    uuid = next(iter(server.jobs))
    shown = invoke("job", uuid)
    assert shown.exit_code == 0
    for word in (uuid, "busybox", "executor_ready", "completed", "/artifacts/a  1 bytes"):
        assert word in shown.stdout
    assert "one\ufffd[2Jtwo" in shown.stdout
    assert json.loads(invoke("job", "--json", uuid).stdout)["artifacts"] == {"/artifacts/a": "eA=="}


def test_a_failed_job_is_shown_with_its_error(server):
    server.script = steps("received", end=(0, "failed", FAILURE))
    invoke("run", "busybox")
    shown = invoke("job", next(iter(server.jobs)))
    assert shown.exit_code == 0
    assert "during execution: nonzero_return_code: exit status 3" in shown.stdout


def test_a_job_can_be_waited_for_and_its_artifacts_fetched_later(server, tmp_path):
    left = finished(artifacts={"/artifacts/a": "eA=="})
    server.script = steps("received", end=(0.6, "completed", left))
    assert invoke("run", "--timeout", "0.2", "busybox").exit_code == Exit.TIMED_OUT
    done = invoke("job", next(iter(server.jobs)), "--wait", "-o", f"a:{tmp_path}/a")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "hi\n"
    assert (tmp_path / "a").read_bytes() == b"x"


def test_an_unknown_job_is_told():
    done = invoke("job", "00000000-0000-4000-8000-000000000000")
    assert done.exit_code == Exit.NOT_RUN
    assert "does not exist" in done.stderr
    assert invoke("job", "../x").exit_code == Exit.NOT_RUN


def test_help_says_all_one_needs():
    text = invoke("run", "--help").stdout
    for word in ("USER_HOTKEY_FILE", "--env-file", "120", "121", "122", "123", "124", "125", "130"):
        assert word in text


def test_no_status_says_that_the_image_is_there_before_the_job_runs():
    ready = [status for status, words in rendering.WORDS.items() if "image" in words]
    assert ready == ["executor_ready", "volumes_ready"]
    assert "fetching image" in rendering.WORDS["executor_ready"]


def test_every_status_has_words():
    from compute_horde_sdk.job_status import ComputeHordeJobStatus

    assert set(rendering.WORDS) == set(map(str, ComputeHordeJobStatus))


def test_as_a_process_it_passes_on_output_and_exit_code(server):
    server.script = steps(*ON_THE_WAY, end=(0, "failed", FAILURE))
    done = subprocess.run(
        [*COMMAND, "run", "busybox"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (3, "so far")
    assert "execution_done" in done.stderr


def test_ctrl_c_names_the_job_and_how_to_see_it_later(server):
    server.script = steps("received")
    process = subprocess.Popen(
        [*COMMAND, "run", "busybox"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    first = process.stderr.readline()
    assert first.startswith("job ")
    while "received" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    uuid = first.split()[1]
    assert process.returncode == Exit.INTERRUPTED
    assert f"compute-horde job {uuid} --wait" in rest
    assert f"compute-horde cancel {uuid}" in rest
    assert "Cancel the job?" not in rest
    assert "Traceback" not in rest


def test_ctrl_c_before_there_is_a_job_says_where_to_look(server):
    server.faults["GET /auth/nonce"] = [503] * 100
    process = subprocess.Popen(
        [*COMMAND, "run", "busybox"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == Exit.INTERRUPTED
    assert "compute-horde jobs" in rest


def test_on_a_terminal_something_moves_while_it_waits(server):
    import pty

    server.script = steps("received", end=(1.0, "completed", finished()))
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", "busybox"], stdout=subprocess.PIPE, stderr=slave, text=True,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 65536)
        except OSError:
            break
    assert process.wait(30) == 0
    assert process.stdout.read() == "hi\n"
    process.stdout.close()
    os.close(master)
    assert shown.count(b"looking for a machine") > 3
    assert b"completed" in shown


def test_run_prints_a_log_as_it_comes_and_only_the_rest_in_the_end(server):
    server.log = [{"stream": "stdout", "text": "a\n"}, {"stream": "stderr", "text": "e\n"}]
    server.script = steps(*ON_THE_WAY, end=(0.5, "completed", finished("a\nb\n", "e\n")))
    done = invoke("run", "busybox")
    assert (done.exit_code, done.stdout) == (0, "a\nb\n")
    lines = done.stderr.splitlines()
    assert lines.count("e") == 1
    assert lines.index("e") < len(lines) - 1


def test_run_as_json_asks_for_no_log(server):
    server.log = [{"stream": "stdout", "text": "a\n"}]
    done = invoke("run", "--json", "busybox")
    assert json.loads(done.stdout)["stdout"] == "hi\n"
    assert not [one for one in server.requests if "/logs" in one[1]]


def test_logs_prints_both_streams_and_goes_on_from_a_cursor_or_a_file(server, tmp_path):
    uuid = invoke("run", "busybox").stderr.split()[1]
    server.log = [{"stream": "stdout", "text": "ä\n"}, {"stream": "stderr", "text": "e\n"}]
    assert invoke("logs", uuid).stdout == "ä\ne\n"
    assert invoke("logs", "-f", uuid, "--from", 3).stdout == "e\n"
    file = tmp_path / "log"
    file.write_bytes("ä".encode()[:1])
    assert invoke("logs", uuid, "-o", file).stdout == ""
    assert file.read_text() == "ä\ne\n"
    file.write_bytes(b"x" * 100)
    other = invoke("logs", "-o", file, uuid)
    assert other.exit_code == Exit.NOT_RUN
    assert f"{file} has more bytes than the log" in other.stderr
    assert file.read_bytes() == b"x" * 100
    both = invoke("logs", uuid, "-o", file, "--from", 3)
    assert both.exit_code == Exit.NOT_RUN
    server.log = None
    gone = invoke("logs", uuid)
    assert gone.exit_code == Exit.NOT_RUN
    assert "with its result" in gone.stderr
