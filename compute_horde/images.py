"""Which images an operator means by a list of patterns."""

from collections.abc import Iterable
from fnmatch import fnmatchcase


def is_listed(image: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns is meant for this image, as its user wrote it.

    `repository` is for every tag and digest of it, `repository:tag` for that tag only and
    `repository@sha256:…` for that digest only; `*` in any part stands for anything.
    """
    return any(_is_meant(image, pattern) for pattern in patterns)


def _is_meant(image: str, pattern: str) -> bool:
    repository, tag, digest = _parts(image)
    wanted, wanted_tag, wanted_digest = _parts(pattern)
    if not fnmatchcase(repository, wanted):
        return False
    if wanted_digest:
        return fnmatchcase(digest, wanted_digest)
    if not wanted_tag:
        return True
    # With a digest the engine does not look at the tag.
    return not digest and fnmatchcase(tag or "latest", wanted_tag)


def _parts(name: str) -> tuple[str, str, str]:
    """Repository, tag, digest; a port is no tag."""
    rest, _, digest = name.partition("@")
    folder, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    return folder + slash + last, tag, digest
