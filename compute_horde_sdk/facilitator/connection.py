"""HTTP connections to a facilitator: the environment's proxies and certificates, and redirects."""

import ssl
from functools import cache
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from compute_horde.errors import ConfigurationError
from compute_horde_sdk import config
from compute_horde_sdk.errors import ComputeHordeError
from compute_horde_sdk.facilitator import decoding

TIMEOUT_SECONDS = 5.0
MAX_REDIRECTS = 5
DEFAULT_PORTS = {"http": 80, "https": 443}


def new_client() -> httpx.AsyncClient:
    """An HTTP client that uses the proxies and certificates of the environment.

    Raises `ConfigurationError` with the name of the setting that cannot be used.
    """
    certificates = _tls_context()
    try:
        return httpx.AsyncClient(
            # The only encoding that `decoding` supports.
            headers={"Accept-Encoding": decoding.ACCEPTED},
            timeout=TIMEOUT_SECONDS,
            # Each wait for a job holds a connection.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            verify=certificates,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as exc:
        settings = ", ".join(
            f"{name}={without_credentials(url)}" for name, url in config.proxies().items()
        )
        hint = (
            "give an http:// or https:// proxy, or install httpx[socks]"
            if isinstance(exc, ImportError)
            else "a proxy is given as http://host:port"
        )
        raise ConfigurationError(
            f"the proxy that the environment names cannot be used ({settings}): {hint}, or unset it"
        ) from exc


@cache
def _tls_context() -> ssl.SSLContext:
    """The TLS context. Cached, because reading the certificates takes as long as a short job."""
    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as exc:
        settings = ", ".join(f"{name}={path}" for name, path in config.certificates().items())
        raise ConfigurationError(
            f"the certificates that the environment names cannot be read ({settings}): give a file "
            "of PEM certificates that exists, or unset it"
        ) from exc


async def send(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a request and return the response, with its body unread.

    Redirects are followed on the same server only, so that a facilitator cannot make the client
    send requests to hosts in the user's private network.
    """
    for _ in range(MAX_REDIRECTS + 1):
        response = await client.send(request, stream=True)
        following = response.next_request
        if following is None:
            return response
        await response.aclose()
        if following.method != request.method or not _same_server(request.url, following.url):
            raise ComputeHordeError(
                f"{request.method} {request.url} is redirected to {following.url}, which was not "
                "followed. If that is your facilitator, use it as the facilitator's URL"
            )
        request = following
    raise httpx.TooManyRedirects("redirected again and again", request=request)


def _same_server(old: httpx.URL, new: httpx.URL) -> bool:
    """Whether both have the same origin, or `new` is the same host with TLS."""
    before, after = _origin(old), _origin(new)
    upgraded = (before[0], before[2], after[0], after[2]) == ("http", 80, "https", 443)
    return before == after or (before[1] == after[1] and upgraded)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or DEFAULT_PORTS.get(url.scheme)


def proxy_of(url: httpx.URL) -> str | None:
    """The proxy used for requests to `url`, without user name and password; None for none."""
    if proxy_bypass(url.host):
        return None
    known = getproxies()
    found = known.get(url.scheme) or known.get("all")
    return without_credentials(found) if found else None


def without_credentials(url: str) -> str:
    """The URL without its user name and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
