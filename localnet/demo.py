"""Runs one job through the whole network and prints what happens."""

import shlex
import shutil
import signal
import subprocess
import time
from types import FrameType

from rich.console import Console

from localnet import network_lifecycle
from localnet.images import BUSYBOX
from localnet.network_dir import NetworkDir
from localnet.shell import command, program, shown
from localnet.supervisor import state_file

_SCRIPT = "echo hello from a container; tr a-z A-Z </volume/in/question.txt >/artifacts/answer.txt"


def run(network_dir: NetworkDir, console: Console) -> int:
    """Run the demo; the exit code of the job. A network that was not up before is stopped again."""
    was_up = state_file.supervisor(network_dir) is not None
    signal.signal(signal.SIGTERM, _as_interrupt)
    started_at = time.monotonic()
    try:
        network_lifecycle.up(network_dir, on_progress=console.print, attached=True)
        console.print(f"\nthe network is up after {time.monotonic() - started_at:.1f} s\n")
        code = _job(network_dir, console)
        console.print(
            _NEXT_STEPS.format(
                up=command(network_dir, "up"),
                status=command(network_dir, "status"),
                env=shown(network_dir.env_file),
                logs=shown(network_dir.logs),
            )
        )
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    finally:
        if not was_up:
            console.print("stopping the network")
            network_lifecycle.down(network_dir)
    return code


def _job(network_dir: NetworkDir, console: Console) -> int:
    inputs, outputs = network_dir.path / "demo" / "input", network_dir.path / "demo" / "output"
    shutil.rmtree(inputs.parent, ignore_errors=True)
    inputs.mkdir(parents=True)
    outputs.mkdir()
    (inputs / "question.txt").write_text("what came in\n")
    words = [
        *(program("compute-horde"), "run", "--env-file", shown(network_dir.env_file)),
        *("-i", f"{shown(inputs)}:in/", "-o", f"answer.txt:{shown(outputs)}/"),
        *(BUSYBOX, "sh", "-c", _SCRIPT),
    ]
    console.print(f"$ {shlex.join(words)}", markup=False)
    done = subprocess.run(words, check=False)
    for artifact in sorted(path for path in outputs.rglob("*") if path.is_file()):
        content = artifact.read_text(errors="replace").rstrip()
        console.print(f"\n{shown(artifact)}:\n{content}", markup=False)
    return done.returncode


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


_NEXT_STEPS = """
commands
  {up}
      start the network and leave it running
  {status}
      show its processes and their logs
files
  {env}
      addresses, keys, databases, and the admin pages with their passwords
  {logs}
      the log of each process
"""
