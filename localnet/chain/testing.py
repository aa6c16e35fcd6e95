"""Runs a local chain as a process, for tests."""

import os
import subprocess
import sys
import tempfile
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
    """Run a chain on a free port; it is ready once it has printed its URL.

    Raises `RuntimeError` with its log if it does not start.
    """
    command = [sys.executable, "-m", "localnet.chain", "--port", "0"]
    command += ["--block-seconds", str(block_seconds), "--netuid", str(netuid)]
    command += ["--tempo", str(tempo)]
    if state is not None:
        command += ["--state", str(state)]
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    with log, process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                code = process.wait(STOP_SECONDS)
                log.seek(0)
                raise RuntimeError(f"the chain ended with code {code}: {log.read()}")
            yield RunningChain(url, process)
        finally:
            process.kill()
