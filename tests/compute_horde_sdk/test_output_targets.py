"""An output that cannot be saved is rejected before the job is sent."""

import os
from pathlib import Path, PurePosixPath

import pytest
from typer.testing import CliRunner

from compute_horde_sdk.cli.commands import app
from compute_horde_sdk.cli.exit_codes import Exit
from compute_horde_sdk.v1 import InvalidRequestError, run
from tests.compute_horde_sdk.pretend import finished, steps

WRONG = [
    ("a", "https://bucket.example/a", "is a URL.*HTTPOutputVolume"),
    ("a", "/proc/nowhere/a", "cannot be written to /proc/nowhere"),
    ("a", "{here}/file/a", "cannot be written to .*file"),
    (".", "{here}/file", "cannot be written to .*file"),
    (".", "/proc", "cannot be written to /proc"),
    ("a", "/dev/null", "/dev/null is no ordinary file"),
    ("a", "{here}/link", "link is no ordinary file"),
    ("a", "{here}/pipe", "pipe is no ordinary file"),
    ("../a", "{here}/a", "outside of the artifacts directory /artifacts"),
    ("/etc/passwd", "{here}/a", "outside of the artifacts directory"),
    ("/artifacts/../etc/passwd", "{here}/a", "outside of the artifacts directory"),
]


@pytest.fixture
def here(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize(("remote", "local", "message"), WRONG)
def test_a_wrong_target_is_reported_before_the_job_is_sent(
    settings, server, here, remote, local, message
):
    local = local.format(here=here)
    with pytest.raises(InvalidRequestError, match=message):
        run("image", outputs={remote: local})
    done = CliRunner().invoke(app, ["run", "-o", f"{remote}:{local}", "image"])
    assert done.exit_code == Exit.NOT_RUN
    assert not server.jobs


def test_two_outputs_in_one_place_are_refused(settings, server, here):
    with pytest.raises(InvalidRequestError, match="two outputs go to"):
        run("image", outputs={"a": f"{here}/x", "b": f"{here}/x"})
    assert not server.jobs


def test_paths_are_taken_wherever_texts_are(settings, server, here):
    server.script = steps(end=(0, "completed", finished(artifacts={"/left/a": "eA=="})))
    result = run(
        "image",
        inputs={here / "file": PurePosixPath("in/file")},
        outputs={PurePosixPath("a"): here / "new" / "a"},
        artifacts_dir=PurePosixPath("/left"),
        hotkey=Path(settings["USER_HOTKEY_FILE"]),
    )
    assert result.saved == [here / "new" / "a"]
    (job,) = server.jobs.values()
    assert (job.body["artifacts_dir"], job.body["volumes"][0]["relative_path"]) == ("/left", "in")
