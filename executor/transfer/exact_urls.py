"""Builds URLs that are sent byte for byte, since signed URLs cover each character; pure."""

import re
from urllib.parse import urljoin

from yarl import URL

# Scheme, authority, and the target without the fragment, which is never sent.
PARTS = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<target>[^#]*)", re.IGNORECASE)
# Characters that a request line cannot hold: sent as percent-encoded UTF-8.
UNSENDABLE = re.compile(r"[^\x21-\x7e]")
OTHER_SCHEME = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UrlSchemeError(ValueError):
    """The URL is neither http nor https."""


def exact_url(url: str) -> URL:
    """`url` with its path and query unchanged; raises `ValueError` for an invalid URL.

    Parsed normally, `yarl` would encode `%2F` and `~` in a query anew, for example, and a signature
    over the query would no longer match.
    """
    if CONTROL.search(url):
        raise ValueError("a URL has no control characters")
    parts = PARTS.match(url.strip())
    if OTHER_SCHEME.match(url.strip()):
        raise UrlSchemeError("only http and https URLs are allowed")
    if parts is None or not parts["authority"]:
        raise ValueError("a URL is http:// or https:// and a host")
    # The authority may be normalized: only DNS and the `Host` header use it.
    base = str(URL(f"{parts['scheme'].lower()}://{parts['authority']}")).rstrip("/")
    target = parts["target"]
    if not target.startswith("/"):
        target = "/" + target
    return URL(base + UNSENDABLE.sub(_encoded, target), encoded=True)


def redirect_target(url: URL, location: str) -> URL:
    """The unchanged target of a `Location` header of `url`; raises `ValueError` for no URL."""
    if PARTS.match(location):
        return exact_url(location)
    if location.startswith("//"):
        return exact_url(f"{url.scheme}:{location}")
    if location.startswith("/"):
        return exact_url(f"{url.scheme}://{url.raw_authority}{location}")
    return exact_url(urljoin(str(url), location))


def _encoded(found: re.Match[str]) -> str:
    # Headers that are not UTF-8 hold surrogates in place of their bytes.
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape"))
