"""What the README tells a newcomer to type works, and what it names is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.network.running import Running

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^    (\.venv/bin/compute-horde .*)$", README, re.MULTILINE)
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
WALK = (ROOT / "docs" / "walkthrough.md").read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_works(network: Running, command: str) -> None:
    typed = command.replace(".localnet/env", str(network.home.env_file))
    program = typed.replace(
        ".venv/bin/compute-horde", str(Path(sys.executable).with_name("compute-horde"))
    )
    done = subprocess.run(
        program, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_of_the_readme_works(network: Running, snippet: str) -> None:
    environment = os.environ | network.env
    command = [sys.executable, "-c", snippet]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "hello\n\n"), done.stderr


def test_the_readme_has_both() -> None:
    assert len(COMMANDS) >= 2
    assert SNIPPETS


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_file_on_the_walk_exists() -> None:
    named = re.findall(r"`([a-z_]+/[a-z_/]+\.py)", WALK)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []
