"""A job's request to a Hugging Face hub, checked as far as possible without the hub; pure."""

from typing import NamedTuple

from compute_horde.volumes import HuggingfaceVolume
from executor.transfer.http_errors import WebError

TYPES = ("model", "dataset", "space")
MOST_PATTERNS = 1000


class RepoRequest(NamedTuple):
    """A repository, and which of its files."""

    endpoint: str
    repo_id: str
    repo_type: str
    revision: str | None
    patterns: list[str] | None
    token: str | None

    @property
    def named(self) -> str:
        """The repository's type and name for messages, without secrets."""
        return f"{self.repo_type} {self.repo_id[:200]!r}"

    @property
    def authorization(self) -> dict[str, str]:
        """The header with the token, which is sent to the hub only."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def gated(self) -> str:
        """The error text for a repository whose files need permission."""
        remedy = "ask for access on its page, then give a token of that account"
        return f"the {self.named} is gated, or its files are not for this token; {remedy}"


class HubFile(NamedTuple):
    """One file of a snapshot."""

    path: str
    size: int
    url: str


class RepoLimits(NamedTuple):
    """The most files and bytes of a snapshot."""

    files: int
    size: int


def repo_request(volume: HuggingfaceVolume, *, endpoint: str, own_token: str | None) -> RepoRequest:
    """The request of a volume; raises `WebError` for an invalid one."""
    kind = volume.repo_type or TYPES[0]
    if kind not in TYPES:
        raise WebError(f"repo_type {kind[:200]!r} is none of {', '.join(TYPES)}")
    patterns = volume.allow_patterns
    patterns = [patterns] if isinstance(patterns, str) else patterns
    if patterns and len(patterns) > MOST_PATTERNS:
        raise WebError(f"allow_patterns holds over {MOST_PATTERNS} patterns")
    token = volume.token or own_token
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise WebError("the token holds characters that no token has")
    return RepoRequest(endpoint, volume.repo_id, kind, volume.revision or None, patterns, token)
