"""Django's ASGI handler without middleware and threads, which only the admin needs."""

from collections.abc import Coroutine
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.urls import set_script_prefix

from compute_horde.concurrency.task_set import TaskSet

# Extensions of the published API, announced in `X-CH-Extensions`: status events, idempotent
# creation, cancelling jobs, live logs.
EXTENSIONS = "events, idempotency-key, cancel, logs"


class RequestHandler(ASGIHandler):
    """Passes requests to asynchronous views that need no session."""

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: FBT001, FBT002 (Django's)
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        respond = self._get_response_async  # type: ignore[attr-defined]  # private in Django
        self._middleware_chain = convert_exception_to_response(respond)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await _read_body(receive)
        if body is not None:
            set_script_prefix("/")
            request = self.request_class(scope, BytesIO(body))
            await _run_until_disconnect(self._answer(request, send), receive)

    async def _answer(self, request: HttpRequest, send: Any) -> None:
        response = await self.get_response_async(request)
        response.headers["X-CH-Extensions"] = EXTENSIONS
        try:
            await self.send_response(response, send)
        finally:
            response.close()


async def _read_body(receive: Any) -> bytes | None:
    """The request's body, or None when the client disconnected before its end."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _disconnect(receive: Any) -> None:
    """Wait for the client to disconnect; the end of a body that was cut is no disconnect."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def _run_until_disconnect(work: Coroutine[Any, Any, None], receive: Any) -> None:
    """Run `work`; cancel it when the client disconnects first."""
    async with TaskSet() as tasks:
        working = tasks.spawn(work)
        tasks.spawn(_disconnect(receive))
        await tasks.wait_for_first()
    if not working.cancelled():
        working.result()
