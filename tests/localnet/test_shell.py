"""Paths and commands as a user can paste them."""

import subprocess
import sys
from pathlib import Path

import pytest

from localnet import shell
from localnet.network_dir import NetworkDir
from localnet.process_table import ROOT


@pytest.mark.parametrize("folder", [ROOT, Path(sys.executable).parent, Path("/")])
def test_a_program_can_be_run_from_the_working_directory(monkeypatch, folder):
    monkeypatch.chdir(folder)
    done = subprocess.run(
        f"{shell.program(Path(sys.executable).name)} -c 'import sys; print(sys.executable)'",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert Path(done.stdout.strip()).samefile(sys.executable)


def test_a_path_is_relative_only_below_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert shell.shown(tmp_path / "a" / "b") == "a/b"
    assert shell.shown(tmp_path.parent) == str(tmp_path.parent)


def test_a_printed_command_works(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    command = shell.command(NetworkDir.at(tmp_path / "another network"), "status")
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert "The network is not up." in done.stdout


def test_the_default_network_needs_no_option():
    assert "--home" not in shell.command(NetworkDir(shell.DEFAULT_PATH), "up")
