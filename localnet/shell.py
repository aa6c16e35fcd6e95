"""Paths and commands as they can be pasted into the shell from which the program was started."""

import shlex
import sys
from pathlib import Path

from localnet.network_dir import NetworkDir
from localnet.process_table import ROOT

DEFAULT_PATH = ROOT / ".localnet"


def shown(path: Path) -> str:
    """The path, relative to the working directory if it is below that."""
    working_dir = Path.cwd()
    return str(path.relative_to(working_dir)) if path.is_relative_to(working_dir) else str(path)


def program(name: str) -> str:
    """A program of the environment that runs this one, such as `.venv/bin/python`."""
    path = shown(Path(sys.executable).with_name(name))
    # A name without a slash would be looked up in PATH.
    return path if "/" in path else f"./{path}"


def command(network_dir: NetworkDir, name: str) -> str:
    """The command line of a command of `python -m localnet` for this network."""
    words = [program(Path(sys.executable).name), "-m", "localnet", name]
    if network_dir.path != DEFAULT_PATH:
        words += ["--home", shown(network_dir.path)]
    return shlex.join(words)
