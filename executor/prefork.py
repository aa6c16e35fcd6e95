"""Preforking server: imports everything once and forks an executor for each request on stdin.

stdin   {"token": "...", "executor_class": "..."}   start an executor
        {"token": "...", "kill": true}              stop it
stdout  {"token": "...", "pid": 123}                it was started
        {"token": "...", "exit": 0}                 it ended (negative: by a signal)

The server has one thread and no event loop, so that its children start from a simple state.
The end of stdin stops the server and all its executors.
"""

import gc
import json
import logging
import os
import random
import selectors
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from compute_horde import startup
from compute_horde.hardware import ExecutorClass
from compute_horde.platform.parent_death import die_with_parent
from executor import cleanup, process
from executor.config import Config
from executor.sandbox import engine_description
from executor.stages import check

log = logging.getLogger(__name__)

STOP_SECONDS = 4.0
KILL_AFTER_SECONDS = 5.0
POLL_SECONDS = 0.02
READ_BYTES = 2**16
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
CRASHED = 70
STDIN, STDOUT, STDERR = 0, 1, 2


@dataclass(slots=True)
class Child:
    """A running executor; `kill_at` (monotonic seconds) is set once it was asked to stop."""

    token: str
    kill_at: float | None = None


@dataclass(slots=True)
class PreforkServer:
    """Forks and reaps executors, and cleans up after those that ended without cleaning up.

    `parent_files` are file descriptors that children close; `cleaners` are the pids of cleanup
    processes.
    """

    config: Config
    parent_files: tuple[int, ...] = ()
    children: dict[int, Child] = field(default_factory=dict)
    cleaners: set[int] = field(default_factory=set)

    def handle(self, line: bytes) -> None:
        """Start or stop an executor as one line of stdin requests."""
        try:
            request: dict[str, Any] = json.loads(line)
            token = str(request["token"])
        except (ValueError, KeyError, TypeError):
            log.error("unreadable request on stdin, ignored", extra={"bytes": len(line)})
            return
        if request.get("kill"):
            self._stop(token)
        else:
            self._spawn(token, str(request.get("executor_class")))

    def _spawn(self, token: str, executor_class: str) -> None:
        known = ExecutorClass(executor_class) if executor_class in CLASSES else None
        config = self.config.model_copy(update={"executor_class": known})
        pid = self._fork(lambda: process.run(config, token))
        self.children[pid] = Child(token)
        _report({"token": token, "pid": pid})

    def _stop(self, token: str) -> None:
        for pid, child in self.children.items():
            if child.token == token and child.kill_at is None:
                os.kill(pid, signal.SIGTERM)
                child.kill_at = time.monotonic() + KILL_AFTER_SECONDS

    def stop_all(self) -> None:
        """Stop every executor; kill and clean up after those that take over `STOP_SECONDS`."""
        for child in self.children.values():
            self._stop(child.token)
        until = time.monotonic() + STOP_SECONDS
        while self.children and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
            self.reap()
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
        while self.children or self.cleaners:
            self._record_exit(*os.waitpid(-1, 0))

    def kill_overdue(self) -> float | None:
        """Kill executors that did not stop in time; returns the seconds until the next is due."""
        now = time.monotonic()
        due = [(child.kill_at, pid) for pid, child in self.children.items() if child.kill_at]
        for at, pid in due:
            if at <= now:
                os.kill(pid, signal.SIGKILL)
        return min((max(POLL_SECONDS, at - now) for at, _ in due), default=None)

    def reap(self) -> None:
        """Collect the exit codes of all children that ended."""
        while self.children or self.cleaners:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._record_exit(pid, status)

    def _record_exit(self, pid: int, status: int) -> None:
        self.cleaners.discard(pid)
        child = self.children.pop(pid, None)
        if child is None:
            return
        _report({"token": child.token, "exit": os.waitstatus_to_exitcode(status)})
        executor_id = process.id_of(child.token)
        if cleanup.has_directory(self.config, executor_id):
            self.clean(lambda: cleanup.one_executor(self.config, executor_id))

    def clean(self, cleaning: Callable[[], int]) -> None:
        """Run `cleaning` in a forked child, so that the server does not wait for it."""
        self.cleaners.add(self._fork(cleaning))

    def _fork(self, run_in_child: Callable[[], int]) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._run_child(run_in_child, parent)
        return pid

    def _run_child(self, run_in_child: Callable[[], int], parent: int) -> NoReturn:
        """Run the child and exit the process; never returns into the parent's code."""
        code = CRASHED
        try:
            _detach_from_parent(self.parent_files)
            die_with_parent(parent)
            code = run_in_child()
        except Exception:
            log.exception("child crashed")
        finally:
            sys.stderr.flush()
            os._exit(code)


CLASSES = frozenset(ExecutorClass)


def _detach_from_parent(files: tuple[int, ...]) -> None:
    """Drop the parent's signal handlers and files; stdin is empty, stdout goes to stderr."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, *STOP_SIGNALS):
        signal.signal(number, signal.SIG_DFL)
    for file in files:
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STDIN)
    os.close(nothing)
    os.dup2(STDERR, STDOUT)
    random.seed()


def _report(event: dict[str, Any]) -> None:
    """Write one line to stdout; when the miner has closed it, the end of stdin follows."""
    try:
        os.write(STDOUT, json.dumps(event).encode() + b"\n")
    except BrokenPipeError:
        log.warning("the miner has closed stdout")


def run(config: Config) -> int:
    """Serve requests until stdin ends or a stop signal arrives; returns the exit code."""
    signal_reader, signal_writer = os.pipe()
    for end in (signal_reader, signal_writer):
        os.set_blocking(end, False)
    prefork = PreforkServer(config, (signal_reader, signal_writer))
    # The objects made so far share their memory pages with all children; a collection would write
    # to these pages and so copy them.
    gc.collect()
    gc.freeze()
    signal.set_wakeup_fd(signal_writer)
    for number in (signal.SIGCHLD, *STOP_SIGNALS):
        signal.signal(number, lambda *_: None)
    # The container engine may have been reconfigured since these were remembered.
    check.forget("sandbox-", config)
    with suppress(OSError):
        (config.work_dir / engine_description.FILE).unlink()
    prefork.clean(lambda: cleanup.all_ended(config))
    startup.ready(miner=config.miner_address)
    _serve(prefork, signal_reader)
    prefork.stop_all()
    return 0


def _serve(prefork: PreforkServer, signals: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(STDIN, selectors.EVENT_READ)
        selector.register(signals, selectors.EVENT_READ)
        pending = b""
        while True:
            for key, _ in selector.select(prefork.kill_overdue()):
                data = os.read(key.fd, READ_BYTES)
                if key.fd == signals:
                    prefork.reap()
                    if STOP_SIGNALS & set(data):
                        return
                    continue
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    prefork.handle(line)
