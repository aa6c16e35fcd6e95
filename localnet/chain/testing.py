"""Runs a local chain as a process, for tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class RunningChain:
    """The process of a local chain and its URL."""

    url: str
    process: "subprocess.Popen[str]"

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """Stop the process with SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running(
    *, block_seconds: float = 0, state: Path | None = None, netuid: int = 12, tempo: int = 10
) -> Iterator[RunningChain]:
    """Run a chain on a free port; it is ready once it has printed its URL."""
    command = [sys.executable, "-m", "localnet.chain", "--port", "0"]
    command += ["--block-seconds", str(block_seconds), "--netuid", str(netuid)]
    command += ["--tempo", str(tempo)]
    if state is not None:
        command += ["--state", str(state)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    with process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the chain ended with code {process.wait(STOP_SECONDS)}")
            yield RunningChain(url, process)
        finally:
            process.kill()
