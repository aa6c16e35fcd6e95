"""Middleware that lets pages of an admin site load and run only what their own server serves."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

ADMIN = "/admin/"
HEADER = "Content-Security-Policy"
# No inline scripts or styles: a text of a stranger that escaped into a page runs nothing.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


@sync_and_async_middleware
def content_policy(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Add the policy to each response under `/admin/`."""
    if iscoroutinefunction(get_response):
        return _asynchronous(get_response)

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        return _with_policy(request, get_response(request))

    return synchronous


def _asynchronous(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    async def asynchronous(request: HttpRequest) -> HttpResponseBase:
        return _with_policy(request, await get_response(request))

    return asynchronous


def _with_policy(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if request.path.startswith(ADMIN):
        response.headers.setdefault(HEADER, POLICY)
    return response
