"""The command line of formulas, as a process without settings, database or hotkey."""

import json
import subprocess
import sys

import pytest

CASES = '{"cases": [{"unix_time": 600}]}'


def run(*arguments, text=""):
    return subprocess.run(
        [sys.executable, "-m", "validator", "formula", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={},
    )


def test_a_file_on_standard_input():
    answer = run("receipt_page_of_time", text=CASES)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(answer.stdout) == {"cases": [{"unix_time": 600, "page": 2}]}


def test_a_file_by_name(tmp_path):
    path = tmp_path / "cases.json"
    path.write_text(CASES)
    assert (
        run("receipt_page_of_time", str(path)).stdout
        == run("receipt_page_of_time", text=CASES).stdout
    )


def test_without_a_name_the_formulas_are_listed():
    answer = run()
    assert answer.returncode == 0
    assert answer.stdout.startswith("usage: python -m validator formula")
    assert {"jobs", "seconds", "allowance", "burn"} <= {
        line.split()[0] for line in answer.stdout.splitlines()
    }


@pytest.mark.parametrize(
    ("arguments", "text", "problem"),
    [
        (["nope"], CASES, "unknown formula 'nope'"),
        (["sigmoid"], "[", "not JSON"),
        (["sigmoid", "no/such/file"], "", "cannot read no/such/file"),
        (["a", "b", "c"], "", "usage:"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, text, problem):
    answer = run(*arguments, text=text)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.count("\n") == 1
    assert problem in answer.stderr
