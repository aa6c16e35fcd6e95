"""The command `replay`, as a process without settings, database or hotkey."""

import json
import subprocess
import sys
from pathlib import Path

from tests.validator.scores.test_recording import RECORDING


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "validator", "replay", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={},
    )


def test_a_recording_is_recomputed_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "cycle.json"
    path.write_text(RECORDING)
    answer = run(str(path))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(answer.stdout) == [
        {"uid": 1, "hotkey": "alice", "share": "1", "u16": 65535},
        {"uid": 7, "hotkey": "bob", "share": "0", "u16": 0},
    ]
    assert run("-", text=RECORDING).stdout == answer.stdout


def test_scores_that_do_not_follow_from_the_facts_end_with_1() -> None:
    answer = run("-", text=RECORDING.replace('"u16":65535', '"u16":65534'))
    assert answer.returncode == 1
    assert "not the scores that the file holds" in answer.stderr
    assert json.loads(answer.stdout)[0]["u16"] == 65535


def test_what_cannot_be_used_ends_with_2_and_one_line() -> None:
    for arguments, problem in (
        ((), "usage:"),
        (("--help",), "usage:"),
        (("/nowhere",), "cannot read /nowhere: No such file"),
        (("-",), "not JSON"),
    ):
        answer = run(*arguments)
        assert (answer.returncode, answer.stdout) == (2, "")
        assert problem in answer.stderr
        assert answer.stderr.count("\n") == 1
