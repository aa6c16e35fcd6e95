"""Errors of HTTP requests, with texts for users that reveal no secrets."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from compute_horde import retry_after as waits
from executor.transfer.exact_urls import UrlSchemeError

NOT_PUBLIC = "is not a public address"
# Statuses after which another attempt may succeed.
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
TOO_MANY_REQUESTS = 429
NO_ACCESS = frozenset({401, 403})
HINTS = {
    401: "it wants credentials; a signed URL needs none",
    403: "has the signed URL expired?",
    404: "there is nothing behind this URL",
    410: "what was behind this URL is gone",
    413: "it takes no file of this size",
    429: "it is asked too often",
}
REDIRECTS = range(300, 400)
# Errors that another attempt cannot avoid, with their texts.
FINAL_ERRORS: dict[type[Exception], str] = {
    UrlSchemeError: "only http and https URLs are allowed",
    aiohttp.NonHttpUrlClientError: "only http and https URLs are allowed",
    aiohttp.InvalidURL: "this is not a valid URL",
    aiohttp.TooManyRedirects: "it redirects too many times",
    ValueError: "this is not a valid URL",
}


class WebError(Exception):
    """A URL could not be fetched or sent to.

    `status` is the HTTP status, if the server answered, `retry_after` the seconds it asks to wait,
    and `is_redirected` is set when another server had redirected to it.
    """

    def __init__(
        self,
        text: str,
        status: int | None = None,
        *,
        retry_after: float | None = None,
        is_redirected: bool = False,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after
        self.is_redirected = is_redirected

    def with_text(self, text: str) -> Self:
        """The same error with another text."""
        return type(self)(
            text, self.status, retry_after=self.retry_after, is_redirected=self.is_redirected
        )


class RetryableError(WebError):
    """One attempt failed; the next may succeed."""


class PrivateAddressError(OSError):
    """An address that no URL of a job may reach; as an `OSError`, the next address is tried."""

    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, f"{address} {NOT_PUBLIC}")


def refusal(status: int, headers: Mapping[str, str], redirected_by: str | None = None) -> WebError:
    """The error for a status other than 2xx; `redirected_by` is the host that redirected there."""
    kind = RetryableError if status in RETRYABLE_STATUSES else WebError
    if status in REDIRECTS:
        hint: str | None = "redirects are not followed here"
    elif redirected_by and status in NO_ACCESS:
        hint = f"it refuses the address that {redirected_by} redirected to"
    else:
        hint = HINTS.get(status)
    return kind(
        f"the server answered HTTP {status}" + (f" ({hint})" if hint else ""),
        status,
        retry_after=waits.seconds(headers),
        is_redirected=redirected_by is not None,
    )


@contextmanager
def described_errors(url: str) -> Iterator[None]:
    """Turn every failure into a `WebError` that names the host; the URL may hold secrets."""
    try:
        host = urlsplit(url).hostname or "no host"
    except ValueError as exc:
        raise WebError("not a URL") from exc
    try:
        yield
    except WebError as exc:
        raise exc.with_text(f"{host}: {exc}") from exc
    except aiohttp.ClientConnectorError as exc:
        raise _unconnected(host, exc) from exc
    except tuple(FINAL_ERRORS) as exc:
        text = next(text for kind, text in FINAL_ERRORS.items() if isinstance(exc, kind))
        raise WebError(f"{host}: {text}") from exc
    except TimeoutError as exc:
        raise RetryableError(f"{host}: the server did not answer in time") from exc
    except aiohttp.ClientError as exc:
        raise RetryableError(f"{host}: the connection broke ({type(exc).__name__})") from exc


def _unconnected(host: str, exc: aiohttp.ClientConnectorError) -> WebError:
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return WebError(f"{host}: its TLS certificate is not valid for this host")
    reason = exc.os_error.strerror or str(exc.os_error)
    if NOT_PUBLIC in reason:
        return WebError(f"{host}: {reason}; jobs may only use public addresses")
    return RetryableError(f"{host}: could not connect ({reason})")
