"""What went wrong with a URL, in words fit for the user."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import aiohttp

NOT_PUBLIC = "is not a public address"
# Answers that may be different next time.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
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
# No other attempt can end otherwise.
USELESS: dict[type[Exception], str] = {
    aiohttp.NonHttpUrlClientError: "only http and https URLs are allowed",
    aiohttp.InvalidURL: "this is not a valid URL",
    aiohttp.TooManyRedirects: "it redirects too many times",
    ValueError: "this is not a valid URL",
}


class WebError(Exception):
    """A URL could not be fetched or sent to; `status` is the server's answer, if it gave one."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class PassingError(WebError):
    """One attempt failed; the next may succeed."""


class PrivateAddressError(OSError):
    """An address that no URL of a job may lead to; an `OSError`, so that the next one is tried."""

    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, f"{address} {NOT_PUBLIC}")


def refusal(status: int) -> WebError:
    """A server's answer that is not 2xx."""
    kind = PassingError if status in PASSING else WebError
    hint = "redirects are not followed here" if status in REDIRECTS else HINTS.get(status)
    return kind(f"the server answered HTTP {status}" + (f" ({hint})" if hint else ""), status)


@contextmanager
def told(url: str) -> Iterator[None]:
    """Every failure as a `WebError` that names the host, not the URL, which may hold secrets."""
    try:
        host = urlsplit(url).hostname or "no host"
    except ValueError as exc:
        raise WebError("not a URL") from exc
    try:
        yield
    except WebError as exc:
        raise type(exc)(f"{host}: {exc}", exc.status) from exc
    except aiohttp.ClientConnectorError as exc:
        raise _unconnected(host, exc) from exc
    except tuple(USELESS) as exc:
        text = next(text for kind, text in USELESS.items() if isinstance(exc, kind))
        raise WebError(f"{host}: {text}") from exc
    except TimeoutError as exc:
        raise PassingError(f"{host}: the server did not answer in time") from exc
    except aiohttp.ClientError as exc:
        raise PassingError(f"{host}: the connection broke ({type(exc).__name__})") from exc


def _unconnected(host: str, exc: aiohttp.ClientConnectorError) -> WebError:
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return WebError(f"{host}: its TLS certificate is not valid for this host")
    reason = exc.os_error.strerror or str(exc.os_error)
    if NOT_PUBLIC in reason:
        return WebError(f"{host}: {reason}; jobs may only use public addresses")
    return PassingError(f"{host}: could not connect ({reason})")
