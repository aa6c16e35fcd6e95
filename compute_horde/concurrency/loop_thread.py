"""Runs an asynchronous library for synchronous callers, on an event loop in a thread."""

import asyncio
import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

STOP_SECONDS = 5

Answer = TypeVar("Answer")


class Forked(Exception):
    """This process is a fork of the one that owns the thread; waiting would never end."""


class BlockingLoop:
    """Runs coroutines on an event loop in a thread of its own.

    The thread keeps connections alive between calls, and callers may be threads of a program with
    its own event loop.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop = _SocketTrackingLoop()
        self._loop.set_exception_handler(_log_background_error)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def wait(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """The coroutine's result, however long it takes; raises `Forked` in a fork."""
        if self._process != os.getpid():
            coroutine.close()
            raise Forked
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def stop(self) -> None:
        """Cancel the tasks, close the sockets and end the thread."""
        if self._process != os.getpid():
            return
        with contextlib.suppress(TimeoutError):
            ending = asyncio.run_coroutine_threadsafe(self._loop.end_all(), self._loop)
            ending.result(STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()


class _SocketTrackingLoop(asyncio.SelectorEventLoop):
    """Tracks its sockets, since a client cancelled while connecting leaves its socket open."""

    def __init__(self) -> None:
        super().__init__()
        self._opened: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """Opens a connection and tracks its transport."""
        transport, protocol = await super().create_connection(*args, **options)
        self._opened.add(transport)
        return transport, protocol

    async def end_all(self) -> None:
        """Cancel all tasks and close all remaining sockets."""
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for transport in self._opened:
            transport.close()
        await asyncio.sleep(0)


def _log_background_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error in a background task; the next call by a user raises it again."""
    problem = context.get("exception") or context["message"]
    log.debug("background task failed", extra={"problem": str(problem)})
