"""An asynchronous library for synchronous callers: its loop on a thread, no wait without end."""

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
    """This process is a fork of the one that owns the thread; waiting for it would never end."""


class BlockingLoop:
    """Runs coroutines on a thread of its own.

    A thread, so that connections stay alive between calls and callers may be threads of a
    program that has a loop of its own.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop = _SocketsKnown()
        self._loop.set_exception_handler(_note)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def wait(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """The coroutine's result; how long that may take is the coroutine's affair."""
        if self._process != os.getpid():
            coroutine.close()
            raise Forked
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def stop(self) -> None:
        """End the tasks, the sockets and the thread."""
        if self._process != os.getpid():
            return
        with contextlib.suppress(TimeoutError):
            ending = asyncio.run_coroutine_threadsafe(self._loop.end_all(), self._loop)
            ending.result(STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()


class _SocketsKnown(asyncio.SelectorEventLoop):
    """Knows its sockets: a client given up while it connects leaves its own open."""

    def __init__(self) -> None:
        super().__init__()
        self._opened: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """As ever, but remembered."""
        transport, protocol = await super().create_connection(*args, **options)
        self._opened.add(transport)
        return transport, protocol

    async def end_all(self) -> None:
        """Cancel the tasks and close the sockets that are left."""
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for transport in self._opened:
            transport.close()
        await asyncio.sleep(0)


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What went wrong where nobody waits; the next call says the same to who asks."""
    problem = context.get("exception") or context["message"]
    log.warning("background task failed", extra={"problem": str(problem)})
