"""Requests that are too long are refused before they are kept."""

import json
from typing import Any


class BodyLimit:
    """An ASGI application that hears no more than `max_bytes` of a request."""

    def __init__(self, application: Any, max_bytes: int) -> None:
        self._application, self._max_bytes = application, max_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if _announced(scope) > self._max_bytes:
            await self._refuse(send)
            return
        heard, is_over, is_answered = 0, False, False

        async def listen() -> Any:
            nonlocal heard, is_over
            message = await receive()
            heard += len(message.get("body", b""))
            if heard > self._max_bytes:
                is_over = True
                return {"type": "http.disconnect"}
            return message

        async def answer(message: Any) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        await self._application(scope, listen, answer)
        if is_over and not is_answered:
            await self._refuse(send)

    async def _refuse(self, send: Any) -> None:
        text = f"at most {self._max_bytes} bytes are accepted; put large inputs behind a URL"
        body = json.dumps({"error": "Request too large", "details": text}).encode()
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _announced(scope: Any) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"")
    return int(length) if length.isdigit() else 0
