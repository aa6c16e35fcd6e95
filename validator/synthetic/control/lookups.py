"""Looks up the host names of control probes in threads of their own.

All other look-ups of an event loop share its default threads: whatever holds those must not look
like a failure of what is probed.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.request import getproxies

import httpx

# A probe gives up after some seconds, but its look-up ends only when the resolver does.
LOOKUPS_AT_ONCE = 16
_threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="control-lookup")


async def addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a host, the most preferable first, each once.

    Raises:
        OSError: the host is not known, or the name server does not answer.
    """
    found = await asyncio.get_running_loop().run_in_executor(
        _threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def transport() -> httpx.AsyncBaseTransport | None:
    """How probes reach servers; None, which is the usual way, where proxies look names up."""
    return None if getproxies() else _LookingUp()


class _LookingUp(httpx.AsyncHTTPTransport):
    """Connects to the looked up addresses one after the other; the certificate is the host's."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        try:
            *others, last = await addresses(url.host, url.port or 443)
        except (OSError, UnicodeError) as exc:
            raise httpx.ConnectError(str(exc), request=request) from exc
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        for address in others:
            request.url = url.copy_with(host=address)
            try:
                return await super().handle_async_request(request)
            except httpx.ConnectError:
                continue
        request.url = url.copy_with(host=last)
        return await super().handle_async_request(request)
