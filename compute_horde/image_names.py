"""Image names: their parts, and matching them against an operator's list of patterns."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

DOCKER_HUB = "docker.io"
# Older names of Docker Hub, which engines still accept.
HUB_ALIASES = frozenset({DOCKER_HUB, "index.docker.io"})
LATEST = "latest"
LONGEST_REPOSITORY = 200

_HOST = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ImageName:
    """The parts of an image's full name, as in the specification of registries.

    With a digest, `tag` is empty: the digest alone identifies the image.
    """

    registry: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses an image name as users write it; raises `ValueError` for anything else."""
        first, slash, _ = text.partition("/")
        is_host = bool(slash) and (
            "." in first or ":" in first or first == "localhost" or first != first.lower()
        )
        host = first.lower() if is_host else DOCKER_HUB
        registry = DOCKER_HUB if host in HUB_ALIASES else host
        repository, tag, digest = _parts(text[len(first) + 1 :] if is_host else text)
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        if not _HOST.fullmatch(registry) or not _REPOSITORY.fullmatch(repository):
            raise ValueError("this is no image name")
        if len(registry) + len(repository) > LONGEST_REPOSITORY:
            raise ValueError("this name is too long")
        if (tag and not _TAG.fullmatch(tag)) or text.partition("@")[0].endswith(":"):
            raise ValueError("what follows the colon is no tag")
        if "@" in text and not _DIGEST.fullmatch(digest):
            raise ValueError("what follows the @ is no sha256 digest")
        return cls(registry, repository, "" if digest else tag or LATEST, digest)

    @property
    def reference(self) -> str:
        """The tag, or the digest where there is one."""
        return self.digest or self.tag

    @property
    def familiar(self) -> str:
        """Registry and repository in the short form that engines use in their lists."""
        if self.registry == DOCKER_HUB:
            return self.repository.removeprefix("library/")
        return f"{self.registry}/{self.repository}"


def is_listed(image: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns matches this image name, written as by a user.

    `repository` matches all its tags and digests, `repository:tag` only that tag and
    `repository@sha256:…` only that digest; `*` in any part matches anything.
    """
    return any(_matches(image, pattern) for pattern in patterns)


def _matches(image: str, pattern: str) -> bool:
    repository, tag, digest = _parts(image)
    wanted, wanted_tag, wanted_digest = _parts(pattern)
    if not fnmatchcase(repository, wanted):
        return False
    if wanted_digest:
        return fnmatchcase(digest, wanted_digest)
    if not wanted_tag:
        return True
    # With a digest the engine ignores the tag.
    return not digest and fnmatchcase(tag or "latest", wanted_tag)


def _parts(name: str) -> tuple[str, str, str]:
    """Splits a pattern into repository, tag and digest; a port is not a tag."""
    rest, _, digest = name.partition("@")
    folder, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    return folder + slash + last, tag, digest
