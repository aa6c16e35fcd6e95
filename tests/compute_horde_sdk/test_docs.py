"""Every snippet of docs/use-the-sdk.md runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compute_horde_sdk.pretend import ON_THE_WAY, finished, steps

TEXT = (Path(__file__).parents[2] / "docs" / "use-the-sdk.md").read_text()
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
# The one of a job that serves needs a job that does: tests/network/test_sdk_docs.py.
PYTHON = [code for kind, code in SNIPPETS if kind == "python" and "streaming=" not in code]
LEFT = finished("hello\n", artifacts={"/artifacts/sum.txt": "NQo="})


def test_there_are_snippets_of_both_kinds():
    assert [kind for kind, _ in SNIPPETS].count("bash") == 3
    assert [kind for kind, _ in SNIPPETS].count("python") == len(PYTHON) + 1 == 4


@pytest.fixture
def environment(settings):
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_the_shell_snippets_run_one_after_another(server, environment, tmp_path):
    server.log = []
    server.script = steps(*ON_THE_WAY, end=(0, "completed", LEFT))
    script = "".join(code for kind, code in SNIPPETS if kind == "bash")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hello\n")
    assert (tmp_path / "sum.txt").read_text() == "5\n"
    assert (tmp_path / "all" / "sum.txt").exists()
    second = list(server.jobs.values())[1]
    assert second.body["env"] == {"SEED": "7"}


@pytest.mark.parametrize("code", PYTHON)
def test_a_python_snippet_runs(server, environment, code):
    server.script = steps(*ON_THE_WAY, end=(0, "completed", LEFT))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "hello\n" in done.stdout
