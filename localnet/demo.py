"""One job through the whole network, told while it happens."""

import os
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

_SCRIPT = "echo 'hello from the container'; cat /volume/greeting.txt > /artifacts/answer.txt"


def run(home: Home, console: Console) -> int:
    """The exit code of the job. Whatever was not up before is down afterwards."""
    was_up = state.supervisor(home) is not None
    signal.signal(signal.SIGTERM, _as_interrupt)
    began = time.monotonic()
    try:
        control.up(home, miners=1, only=[], tell=console.print)
        console.print(f"\nthe network is up after {time.monotonic() - began:.1f} s\n")
        code = _job(home, console)
        console.print(_LOOK_FURTHER.format(logs=home.logs, env=home.env_file))
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
    for folder in (inputs, outputs):
        folder.mkdir(parents=True, exist_ok=True)
    (inputs / "greeting.txt").write_text("the bytes that went in\n")
    command = [
        *("run", "-i", f"{inputs}:/volume", "-o", f"/artifacts:{outputs}"),
        *(BUSYBOX, "--", "sh", "-c", _SCRIPT),
    ]
    console.print(f"$ compute-horde {' '.join(command)}")
    environment = os.environ | _client_environment(home)
    program = Path(sys.executable).with_name("compute-horde")
    done = subprocess.run([program, *command], env=environment, check=False)
    for artifact in sorted(path for path in outputs.rglob("*") if path.is_file()):
        console.print(f"{artifact.name}: {artifact.read_text(errors='replace').strip()}")
    return done.returncode


def _client_environment(home: Home) -> dict[str, str]:
    lines = home.env_file.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


_LOOK_FURTHER = """
how to look further
  python -m localnet up        leave the network running
  python -m localnet status    what runs, since when, and each log
  {env}    addresses, keys, databases and the admin pages with their passwords
  {logs}   what each process said
"""
