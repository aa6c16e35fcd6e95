"""Work that ends when somebody wants it cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from compute_horde.errors import Cancelled

T = TypeVar("T")


async def unless_cancelled(asked: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """What `work` comes to; `Cancelled`, and no more work, once `asked` is set.

    What was done before anybody noticed counts.
    """
    if asked.is_set():
        work.close()
        raise Cancelled
    working, asking = asyncio.ensure_future(work), asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait({working, asking}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asking.cancel()
        is_done = working.done()
        working.cancel()
        await asyncio.gather(working, asking, return_exceptions=True)
    if is_done or not working.cancelled():
        return working.result()
    raise Cancelled
