"""Requests that are too long are refused before they are kept."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

PATIENCE_SECONDS = 3.0
# Enough for a login, which is all that strangers may ask for.
STRANGER_BYTES = 2**16


class BodyLimit:
    """An ASGI application that hears no more than `max_bytes` of a request.

    Of what strangers send only the beginning is kept, whatever becomes of it.
    """

    def __init__(
        self, application: Any, max_bytes: int, is_known: Callable[[Any], bool] = lambda scope: True
    ) -> None:
        self._application, self._max_bytes, self._is_known = application, max_bytes, is_known

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if _announced(scope) > self._max_bytes:
            await self._refuse(receive, send)
            return
        heard, is_sending, is_answered = 0, False, False
        is_known: bool | None = None

        async def listen() -> Any:
            nonlocal heard, is_sending, is_known
            message = await receive()
            heard += len(message.get("body", b""))
            if heard > self._max_bytes:
                is_sending = message.get("more_body", False)
                return {"type": "http.disconnect"}
            if heard > STRANGER_BYTES:
                is_known = self._is_known(scope) if is_known is None else is_known
                if not is_known:
                    return message | {"body": b""}
            return message

        async def answer(message: Any) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        await self._application(scope, listen, answer)
        if heard > self._max_bytes and not is_answered:
            await self._refuse(receive if is_sending else None, send)

    async def _refuse(self, receive: Any, send: Any) -> None:
        """Say no; a client who is still sending would not hear it, so hear it out for a while."""
        if receive is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while (await receive()).get("more_body"):
                        pass
        text = f"at most {self._max_bytes} bytes are accepted; put large inputs behind a URL"
        body = json.dumps({"error": "Request too large", "details": text}).encode()
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _announced(scope: Any) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"")
    return int(length) if length.isdigit() else 0
