"""The message after Ctrl-C describes the job's true state."""

import pytest

from compute_horde_sdk.cli import cancellation, job_output
from compute_horde_sdk.cli.exit_codes import Exit
from tests.compute_horde_sdk.cli.test_commands import invoke
from tests.compute_horde_sdk.pretend import steps

pytestmark = pytest.mark.usefixtures("settings")


def test_who_interrupts_a_log_is_told_how_to_read_on(server, monkeypatch):
    server.script = steps("received")
    invoke("run", "--timeout", "0.1", "busybox")
    uuid = next(iter(server.jobs))
    monkeypatch.setattr(job_output, "copy", interrupt)
    done = invoke("logs", "-f", uuid)
    assert done.exit_code == Exit.INTERRUPTED
    assert f"compute-horde logs -f {uuid}" in done.stderr
    assert "submitted" not in done.stderr


def test_who_interrupts_a_cancelling_is_not_told_that_the_job_goes_on(server, monkeypatch):
    uuid = invoke("run", "busybox").stderr.split()[1]
    monkeypatch.setattr(cancellation, "cancel_and_wait", interrupt)
    done = invoke("cancel", uuid)
    assert done.exit_code == Exit.INTERRUPTED
    assert f"see it with: compute-horde job {uuid}" in done.stderr
    assert "goes on" not in done.stderr


def interrupt(*_, **__):
    raise KeyboardInterrupt
