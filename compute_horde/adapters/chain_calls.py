"""Runs the SDK's coroutines, each with a time limit, and translates the SDK's errors."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from compute_horde.adapters.bittensor_sdk import bittensor
from compute_horde.adapters.chain_port import (
    ChainRefused,
    ChainUnreachable,
    NotPermitted,
    NotRegistered,
    RateLimited,
)
from compute_horde.concurrency.loop_thread import BlockingLoop, Forked
from compute_horde.errors import ChainError

CLOSE_SECONDS = 5

Result = TypeVar("Result")


class SdkCalls:
    """Runs the SDK's coroutines on a loop in a thread; the SDK itself has no time limits."""

    def __init__(self, read_seconds: float, write_seconds: float) -> None:
        self._read_seconds = read_seconds
        self._write_seconds = write_seconds
        self._loop = BlockingLoop()

    def read(self, query: Coroutine[Any, Any, Result]) -> Result:
        """The result of a query, within the limit for reading."""
        return self._wait(query, self._read_seconds)

    def write(self, call: Coroutine[Any, Any, Result]) -> Result:
        """The result of a transaction once it is final, within the limit for writing."""
        return self._wait(call, self._write_seconds)

    def close(self, closing: Coroutine[Any, Any, None]) -> None:
        """Close a connection; errors of a node that does not answer are ignored."""
        with contextlib.suppress(ChainError):
            self._wait(closing, CLOSE_SECONDS)

    def stop(self) -> None:
        """Cancel what still runs and end the thread."""
        self._loop.stop()

    def _wait(self, coroutine: Coroutine[Any, Any, Result], seconds: float) -> Result:
        bounded = _with_deadline(coroutine, seconds)
        try:
            return self._loop.wait(bounded)
        except Forked as exc:
            coroutine.close()
            raise ChainUnreachable(
                "connected before this process was forked; connect anew"
            ) from exc


async def _with_deadline(coroutine: Coroutine[Any, Any, Result], seconds: float) -> Result:
    """The coroutine's result; every failure of the SDK is raised as a `ChainError`."""
    try:
        async with asyncio.timeout(seconds):
            return await coroutine
    except TimeoutError as exc:
        detail = (
            f"no answer from the chain within {seconds:g} seconds; "
            "a transaction may still be included"
        )
        raise ChainUnreachable(detail) from exc
    except (bittensor.RpcConnectionError, OSError) as exc:
        raise ChainUnreachable(f"the chain cannot be reached: {exc}") from exc
    except bittensor.ChainError as exc:
        raise _refused_error(exc) from exc
    except (bittensor.BittensorError, ValueError, TypeError, LookupError, AttributeError) as exc:
        invalid = bittensor.ErrorCode.INVALID_ARGUMENT.value
        raise ChainRefused(f"{type(exc).__name__}: {exc}", invalid) from exc


REFUSALS: dict[bittensor.ErrorCode, type[ChainRefused]] = {
    bittensor.ErrorCode.RATE_LIMITED: RateLimited,
    bittensor.ErrorCode.NOT_REGISTERED: NotRegistered,
    bittensor.ErrorCode.NOT_AUTHORIZED: NotPermitted,
    # The chain reports too little stake to set weights as an insufficient balance.
    bittensor.ErrorCode.INSUFFICIENT_BALANCE: NotPermitted,
}


def _refused_error(error: bittensor.ChainError) -> ChainRefused:
    kind = REFUSALS.get(error.code, ChainRefused)
    return kind(f"{error.name or error.code.value}: {error}", error.code.value, error.name)
