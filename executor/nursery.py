"""A parent that has imported everything and forks an executor for each line it is told.

stdin   {"token": "...", "executor_class": "..."}   start one
        {"token": "...", "kill": true}              end one
stdout  {"token": "...", "pid": 123}                started
        {"token": "...", "exit": 0}                 ended (negative: by a signal)

The parent has one thread and no event loop, so that its children start from a simple state.
The end of stdin ends it and all of them.
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
from dataclasses import dataclass, field
from typing import Any, NoReturn

from compute_horde.hardware import ExecutorClass
from executor import process, sweep
from executor.config import Config
from executor.parenthood import die_with_parent

log = logging.getLogger(__name__)

STOP_SECONDS = 4.0
KILL_AFTER_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.02
READ_BYTES = 2**16
ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
CRASHED = 70
STDIN, STDOUT, STDERR = 0, 1, 2


@dataclass(slots=True)
class Child:
    """A living executor; `kill_at` is set once it was told to stop."""

    token: str
    kill_at: float | None = None


@dataclass(slots=True)
class Nursery:
    """Forks, reaps, and cleans up after those that could not do it themselves."""

    config: Config
    own_files: tuple[int, ...] = ()
    children: dict[int, Child] = field(default_factory=dict)
    cleaners: set[int] = field(default_factory=set)

    def obey(self, line: bytes) -> None:
        """Do what one line asks for."""
        try:
            order: dict[str, Any] = json.loads(line)
            token = str(order["token"])
        except (ValueError, KeyError, TypeError):
            log.error("unreadable order", extra={"bytes": len(line)})
            return
        if order.get("kill"):
            self._stop(token)
        else:
            self._bear(token, str(order.get("executor_class")))

    def _bear(self, token: str, executor_class: str) -> None:
        known = ExecutorClass(executor_class) if executor_class in CLASSES else None
        config = self.config.model_copy(update={"executor_class": known})
        pid = self._fork(lambda: process.run(config, token))
        self.children[pid] = Child(token)
        _tell({"token": token, "pid": pid})

    def _stop(self, token: str) -> None:
        for pid, child in self.children.items():
            if child.token == token and child.kill_at is None:
                os.kill(pid, signal.SIGTERM)
                child.kill_at = time.monotonic() + KILL_AFTER_SECONDS

    def stop_all(self) -> None:
        """End every child; those that take too long are killed and cleaned up after."""
        for child in self.children.values():
            self._stop(child.token)
        until = time.monotonic() + STOP_SECONDS
        while self.children and time.monotonic() < until:
            time.sleep(LOOK_AGAIN_SECONDS)
            self.reap()
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
        while self.children or self.cleaners:
            self._note(*os.waitpid(-1, 0))

    def kill_the_slow(self) -> float | None:
        """Kill what was told to stop long ago; seconds until the next is due."""
        now = time.monotonic()
        due = [(child.kill_at, pid) for pid, child in self.children.items() if child.kill_at]
        for at, pid in due:
            if at <= now:
                os.kill(pid, signal.SIGKILL)
        return min((max(LOOK_AGAIN_SECONDS, at - now) for at, _ in due), default=None)

    def reap(self) -> None:
        """Note every child that ended."""
        while self.children or self.cleaners:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._note(pid, status)

    def _note(self, pid: int, status: int) -> None:
        self.cleaners.discard(pid)
        child = self.children.pop(pid, None)
        if child is None:
            return
        _tell({"token": child.token, "exit": os.waitstatus_to_exitcode(status)})
        executor_id = process.id_of(child.token)
        if sweep.is_left(self.config, executor_id):
            self.clean(lambda: sweep.one(self.config, executor_id))

    def clean(self, cleaning: Callable[[], int]) -> None:
        """Clean up in a child of its own, so that nobody waits for it."""
        self.cleaners.add(self._fork(cleaning))

    def _fork(self, life: Callable[[], int]) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._live(life, parent)
        return pid

    def _live(self, life: Callable[[], int], parent: int) -> NoReturn:
        """The child's whole life; it never returns into the parent's code."""
        code = CRASHED
        try:
            _leave_home(self.own_files)
            die_with_parent(parent)
            code = life()
        except Exception:
            log.exception("child crashed")
        finally:
            sys.stderr.flush()
            os._exit(code)


CLASSES = frozenset(ExecutorClass)


def _leave_home(files: tuple[int, ...]) -> None:
    """Forget what belongs to the parent alone: its signals, its ears and its mouth."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, *ENDING):
        signal.signal(number, signal.SIG_DFL)
    for file in files:
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STDIN)
    os.close(nothing)
    os.dup2(STDERR, STDOUT)
    random.seed()


def _tell(fact: dict[str, Any]) -> None:
    """One line on stdout; a miner that does not listen any more will end us through stdin."""
    try:
        os.write(STDOUT, json.dumps(fact).encode() + b"\n")
    except BrokenPipeError:
        log.warning("nobody listens")


def run(config: Config) -> int:
    """Serve until stdin ends or a signal says so."""
    heard, told = os.pipe()
    for end in (heard, told):
        os.set_blocking(end, False)
    nursery = Nursery(config, (heard, told))
    # What exists by now is shared with all children; the collector must not touch its pages.
    gc.collect()
    gc.freeze()
    signal.set_wakeup_fd(told)
    for number in (signal.SIGCHLD, *ENDING):
        signal.signal(number, lambda *_: None)
    nursery.clean(lambda: sweep.abandoned(config))
    _serve(nursery, heard)
    nursery.stop_all()
    return 0


def _serve(nursery: Nursery, signals: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(STDIN, selectors.EVENT_READ)
        selector.register(signals, selectors.EVENT_READ)
        pending = b""
        while True:
            for key, _ in selector.select(nursery.kill_the_slow()):
                data = os.read(key.fd, READ_BYTES)
                if key.fd == signals:
                    nursery.reap()
                    if ENDING & set(data):
                        return
                    continue
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    nursery.obey(line)
