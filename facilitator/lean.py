"""Django without what only the admin needs: middleware, and threads for every request."""

import asyncio
from collections.abc import Coroutine
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.urls import set_script_prefix

# What clients may rely on beyond the published API: pushed statuses, creation safe to repeat,
# jobs cancelled, what a job prints.
EXTENSIONS = "events, idempotency-key, cancel, logs"


class LeanHandler(ASGIHandler):
    """Leads requests to views that are coroutines and need no session."""

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: FBT001, FBT002 (Django's)
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._middleware_chain = convert_exception_to_response(self._get_response_async)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await _whole(receive)
        if body is not None:
            set_script_prefix("/")
            request = self.request_class(scope, BytesIO(body))
            await _until_gone(self._answer(request, send), receive)

    async def _answer(self, request: HttpRequest, send: Any) -> None:
        response = await self.get_response_async(request)
        response.headers["X-CH-Extensions"] = EXTENSIONS
        try:
            await self.send_response(response, send)
        finally:
            response.close()


async def _whole(receive: Any) -> bytes | None:
    """The request's body, or None when the client left before its end."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _until_gone(work: Coroutine[Any, Any, None], receive: Any) -> None:
    """Do the work, unless the client leaves first."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(receive())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        leaving.cancel()
    outcome, _ = await asyncio.gather(working, leaving, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome
