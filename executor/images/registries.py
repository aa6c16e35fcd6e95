"""The registries that images may come from, with their URLs; pure."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from compute_horde.image_names import DOCKER_HUB
from executor.images.errors import ImageError

DEFAULT = (DOCKER_HUB, "ghcr.io", "nvcr.io", "quay.io")
# The host of the registry that is called docker.io.
HUB_HOST = "registry-1.docker.io"
PLAIN = "http://"


@dataclass(frozen=True, slots=True)
class ImageRegistry:
    """A registry that the operator allows.

    `may_be_private` is set for those that the operator added by name: only they may have private
    addresses.
    """

    url: str
    may_be_private: bool

    @property
    def is_plain(self) -> bool:
        """Whether it is used without TLS."""
        return self.url.startswith(PLAIN)


def find(host: str, allowed: Iterable[str]) -> ImageRegistry:
    """The registry at `host`, which is `name[:port]`; raises `ImageError` when it is not allowed.

    An entry of the list is `name[:port]`, or `http://name[:port]` for one without TLS; registries
    on loopback addresses never use TLS, as for engines. `*` matches anything; a registry that is
    matched by a `*` outside the port may not be private.
    """
    allowed = tuple(allowed)
    for entry in allowed:
        name = entry.removeprefix(PLAIN).removeprefix("https://").rstrip("/").lower()
        if not fnmatchcase(host, name):
            continue
        if host == DOCKER_HUB:
            return ImageRegistry(f"https://{HUB_HOST}", may_be_private=False)
        plain = entry.startswith(PLAIN) or _is_loopback(host)
        scheme = "http" if plain else "https"
        named = "*" not in _without_port(name)
        return ImageRegistry(f"{scheme}://{host}", may_be_private=named and host not in DEFAULT)
    names = ", ".join(entry.removeprefix(PLAIN) for entry in allowed) or "none"
    raise ImageError(f"this executor fetches images from {names} only, not from {host}")


def _is_loopback(host: str) -> bool:
    name = _without_port(host)
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    return host.rpartition(":")[0] or host
