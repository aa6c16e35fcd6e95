"""Reads the manifests of images, with bounds, before anything else is fetched; pure.

The formats are those of the OCI image specification and of Docker's schema 2, which differ only
in the names of their media types.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from executor.images.errors import ImageError, RegistryUnavailableError

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIGS = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)
MAX_MANIFEST_BYTES = 4 * 2**20
MAX_CONFIG_BYTES = 4 * 2**20
# overlay2 can stack no more than 128.
MAX_LAYERS = 125
MAX_PLATFORMS = 1000

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,32768}")


@dataclass(frozen=True, slots=True)
class Platform:
    """The operating system and architecture of an engine, as images name them."""

    os: str
    architecture: str


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob of an image: its digest and its compressed size in bytes."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """The manifest of an image for one platform; `digest` is that of `body`."""

    digest: str
    media_type: str
    body: bytes
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def size(self) -> int:
        """Compressed bytes of all blobs; a repeated blob counts once."""
        return self.config.size + sum({one.digest: one.size for one in self.layers}.values())

    def blob(self, digest: str) -> Blob | None:
        """The blob with this digest."""
        return next((one for one in (self.config, *self.layers) if one.digest == digest), None)


def digest_of(body: bytes) -> str:
    """The sha256 digest of `body` in the form `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def check_digest(body: bytes, wanted: str) -> None:
    """Raise `RegistryUnavailableError` when the bytes do not have the wanted digest."""
    if digest_of(body) != wanted:
        raise RegistryUnavailableError("its registry sent other bytes than asked for")


def is_index(media_type: str) -> bool:
    """Whether a document of this type lists manifests by platform."""
    return media_type in INDEXES


def media_type_of(body: bytes, header: str) -> str:
    """The media type of a manifest: its own field, else the header of the answer."""
    stated = _object(body).get("mediaType")
    return stated if isinstance(stated, str) else header.partition(";")[0].strip()


def choose(body: bytes, platform: Platform) -> Blob:
    """The manifest for this platform; raises `ImageError` when there is none."""
    listed = _object(body).get("manifests")
    if not isinstance(listed, list) or len(listed) > MAX_PLATFORMS:
        raise ImageError("its list of platforms cannot be read")
    for entry in listed:
        stated = entry.get("platform") if isinstance(entry, dict) else None
        if isinstance(stated, dict) and platform == Platform(
            _text(stated.get("os")), _text(stated.get("architecture"))
        ):
            return _blob(entry)
    raise ImageError(f"there is none for {platform.os}/{platform.architecture}")


def read(body: bytes, media_type: str) -> ImageManifest:
    """Parse a manifest; raises `ImageError` for one that an engine cannot use."""
    if media_type not in MANIFESTS:
        raise ImageError("its manifest has a format that is not supported")
    document = _object(body)
    layers = document.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise ImageError(f"it has more than {MAX_LAYERS} layers, or none can be read")
    config = document.get("config")
    if not isinstance(config, dict) or config.get("mediaType") not in CONFIGS:
        raise ImageError("this is no container image")
    parts = _blob(config)
    if parts.size > MAX_CONFIG_BYTES:
        raise ImageError(f"its configuration is larger than {MAX_CONFIG_BYTES} bytes")
    return ImageManifest(digest_of(body), media_type, body, parts, tuple(map(_layer, layers)))


def check_config(body: bytes, manifest: ImageManifest) -> None:
    """Raise `ImageError` for a configuration with another number of layers."""
    root = _object(body).get("rootfs")
    layers = root.get("diff_ids") if isinstance(root, dict) else None
    if not isinstance(layers, list) or len(layers) != len(manifest.layers):
        raise ImageError("its configuration does not fit its layers")


def token_of(body: bytes) -> str:
    """The token in the answer of a token server; raises `ImageError` without one."""
    document = _object(body)
    token = _text(document.get("token")) or _text(document.get("access_token"))
    if not _TOKEN.fullmatch(token):
        raise ImageError("its registry's login gives no token")
    return token


def _layer(entry: Any) -> Blob:
    """A layer; one with a URL of its own is refused, as engines fetch it from there directly."""
    layer = _blob(entry)
    if entry.get("urls"):
        raise ImageError("one of its layers lies outside of its registry")
    return layer


def _blob(entry: Any) -> Blob:
    digest = _text(entry.get("digest")) if isinstance(entry, dict) else ""
    size = entry.get("size") if isinstance(entry, dict) else None
    if not _DIGEST.fullmatch(digest) or type(size) is not int or size < 0:
        raise ImageError("its manifest names a part without a sha256 digest or a size")
    return Blob(digest, size)


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise ImageError("its registry's answer is no JSON") from exc
    if not isinstance(document, dict):
        raise ImageError("its registry's answer is no JSON object")
    return document


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
