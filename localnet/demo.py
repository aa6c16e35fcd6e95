"""One job through the whole network, told while it happens."""

import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from rich.console import Console

from localnet import control, state
from localnet.home import Home
from localnet.images import BUSYBOX

_SCRIPT = "echo hello from a container; tr a-z A-Z </volume/in/question.txt >/artifacts/answer.txt"


def run(home: Home, console: Console) -> int:
    """The exit code of the job. Whatever was not up before is down afterwards."""
    was_up = state.supervisor(home) is not None
    signal.signal(signal.SIGTERM, _as_interrupt)
    began = time.monotonic()
    try:
        control.up(home, tell=console.print, attached=True)
        console.print(f"\nthe network is up after {time.monotonic() - began:.1f} s\n")
        code = _job(home, console)
        console.print(_LOOK_FURTHER.format(logs=shown(home.logs), env=shown(home.env_file)))
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    finally:
        if not was_up:
            console.print("stopping")
            control.down(home)
    return code


def _job(home: Home, console: Console) -> int:
    inputs, outputs = home.path / "demo" / "input", home.path / "demo" / "output"
    shutil.rmtree(inputs.parent, ignore_errors=True)
    inputs.mkdir(parents=True)
    outputs.mkdir()
    (inputs / "question.txt").write_text("what came in\n")
    command = [
        *("compute-horde", "run", "--env-file", shown(home.env_file)),
        *("-i", f"{shown(inputs)}:in/", "-o", f"answer.txt:{shown(outputs)}/"),
        *(BUSYBOX, "sh", "-c", _SCRIPT),
    ]
    console.print(f"$ {shlex.join(command)}", markup=False)
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run([program, *command[1:]], check=False)
    for artifact in sorted(path for path in outputs.rglob("*") if path.is_file()):
        text = artifact.read_text(errors="replace").rstrip()
        console.print(f"\n{shown(artifact)}:\n{text}", markup=False)
    return done.returncode


def shown(path: Path) -> str:
    """The path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


_LOOK_FURTHER = """
how to look further
  python -m localnet up        leave the network running
  python -m localnet status    what runs, since when, and each log
  {env}    addresses, keys, databases and the admin pages with their passwords
  {logs}   what each process said
"""
