"""A user cancels a job: from a program, from the command line, by Ctrl-C at a terminal."""

import os
import signal
import subprocess

import pytest

from compute_horde_sdk.cli.exit_codes import Exit
from tests.compute_horde_sdk.cli.test_commands import COMMAND, invoke
from tests.compute_horde_sdk.pretend import ON_THE_WAY, steps

pytestmark = pytest.mark.usefixtures("settings")


async def test_a_job_that_is_cancelled_ends_with_its_output_so_far(client, server, spec):
    server.script = steps("received", "accepted")
    job = await client.create_job(spec)
    await job.cancel()
    await job.wait(10)
    assert job.status.value == "cancelled"
    assert job.status.is_failed()
    assert job.result.stdout == "so far"
    assert (job.error.reason, job.error.message) == ("cancelled", "The job was cancelled")
    await job.cancel()
    assert [entry.status.value for entry in job.status_history].count("cancelled") == 1


def test_a_job_is_cancelled_and_who_waits_for_it_is_told(server):
    server.script = steps(*ON_THE_WAY[:4])
    process = subprocess.Popen(
        [*COMMAND, "run", "busybox"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    uuid = process.stderr.readline().split()[1]
    while "volumes_ready" not in process.stderr.readline():
        pass
    done = invoke("cancel", uuid)
    assert done.exit_code == 0
    assert f"job {uuid} was cancelled; it had a machine for" in done.stderr
    printed, rest = process.communicate(timeout=30)
    assert (process.returncode, printed) == (Exit.CANCELLED, "so far")
    assert f"job {uuid} was cancelled" in rest


def test_a_job_that_has_ended_is_not_cancelled_any_more(server):
    assert invoke("run", "busybox").exit_code == 0
    done = invoke("cancel", next(iter(server.jobs)))
    assert done.exit_code == 0
    assert "ended completed before it could be cancelled" in done.stderr
    assert invoke("cancel", "../x").exit_code == Exit.NOT_RUN


def at_a_terminal(server, *answers):
    """`run` at a terminal, interrupted and answered; its exit code and what it showed there."""
    import pty

    server.script = steps("received")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", "busybox"], stdin=slave, stdout=subprocess.PIPE, stderr=slave,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    shown = b""

    def until(words):
        nonlocal shown
        while words and words not in shown:
            try:
                shown += os.read(master, 65536)
            except OSError:
                return

    until(b"looking for a machine")
    process.send_signal(signal.SIGINT)
    until(b"Cancel the job?")
    for answer in answers:
        if answer is None:
            process.send_signal(signal.SIGINT)
        else:
            os.write(master, answer)
    until(b"there is no more")
    code = process.wait(30)
    process.stdout.close()
    os.close(master)
    return code, shown.decode()


@pytest.mark.parametrize("answer", [b"y\n", None], ids=["yes", "ctrl-c"])
def test_ctrl_c_at_a_terminal_asks_and_a_yes_cancels(server, answer):
    code, shown = at_a_terminal(server, answer)
    (job,) = server.jobs.values()
    assert job.history[-1]["status"] == "cancelled"
    assert code == Exit.CANCELLED
    assert f"job {job.uuid} was cancelled" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("answer", [b"\n", b"no\n"])
def test_ctrl_c_at_a_terminal_lets_the_job_go_on_without_a_yes(server, answer):
    code, shown = at_a_terminal(server, answer)
    (job,) = server.jobs.values()
    assert job.history[-1]["status"] == "received"
    assert code == Exit.INTERRUPTED
    assert f"compute-horde job {job.uuid} --wait" in shown
    assert f"compute-horde cancel {job.uuid}" in shown
