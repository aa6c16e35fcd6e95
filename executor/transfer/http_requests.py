"""Sends one GET to a user's URL and follows redirects, with each URL sent unchanged."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp

from executor.transfer.exact_urls import exact_url, redirect_target
from executor.transfer.http_errors import WebError, described_errors, refusal

FOLLOWED = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 10


class HttpResponse(NamedTuple):
    """An answer, and the host whose redirect led to it, if one did."""

    answer: aiohttp.ClientResponse
    redirected_by: str | None

    def refusal(self) -> WebError:
        """The error for an answer that is not 2xx."""
        return refusal(self.answer.status, self.answer.headers, self.redirected_by)


@asynccontextmanager
async def open_response(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]
) -> AsyncIterator[HttpResponse]:
    """The answer to a GET after redirects; `Authorization` is sent to the first origin only.

    Every failure, also while the caller reads, is a `WebError` that names the host at fault.
    """
    with described_errors(url):
        current = exact_url(url)
    first, sent = current.host, dict(headers)
    for number in range(MAX_REDIRECTS + 1):
        with described_errors(str(current)):
            async with session.get(current, headers=sent, allow_redirects=False) as answer:
                location = answer.headers.get("Location")
                if answer.status not in FOLLOWED or location is None:
                    yield HttpResponse(answer, first if number else None)
                    return
                following = redirect_target(current, location)
        if following.origin() != current.origin():
            sent = _without_secrets(sent)
        current = following
    with described_errors(url):
        raise WebError("it redirects too many times")


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k.lower() not in {"authorization", "cookie"}}


def plain_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by lower-case name; bytes that are not UTF-8 are replaced."""
    return {
        name.lower(): value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for name, value in headers.items()
    }
