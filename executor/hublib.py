"""The only door to huggingface_hub, which knows how hubs are asked; slow to import."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url, set_client_factory
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._paths import filter_repo_objects

from compute_horde.errors import HordeError
from compute_horde.vocabulary import HordeReason
from compute_horde.volumes import taint
from executor.refusals import NO_ACCESS, WebError
from executor.wanted import HubFile, Limits, Wanted
from executor.web import Reply

# Else it asks for a list of programs, to tell the hub which of them we are.
constants.HF_HUB_DISABLE_TELEMETRY = True

COMMIT = re.compile(r"[0-9a-f]{40}")
# Encodings and connections end at our own client.
HOP = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})
MOST_LISTED = 100_000
# What the library raises on an answer that is not what a hub says.
NONSENSE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)

# Asks one URL with these headers and waits for the answer.
Ask = Callable[[str, dict[str, str]], Reply]


class _Through(httpx2.BaseTransport):
    """The library's requests go through our own client, which is bounded and can be ended."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        reply = self._ask(str(request.url), dict(request.headers))
        headers = {k: v for k, v in reply.headers.items() if k not in HOP}
        return httpx2.Response(reply.status, headers=headers, content=reply.body, request=request)


def listed(wanted: Wanted, ask: Ask, limits: Limits) -> list[HubFile]:
    """The files of one commit, checked; `WebError` says what the job asked for in vain."""
    set_client_factory(
        # Proxies of the environment would go past the transport.
        lambda: httpx2.Client(transport=_Through(ask), follow_redirects=True, trust_env=False)
    )
    with _told(wanted):
        api = HfApi(endpoint=wanted.endpoint, token=wanted.token or False)
        commit = _commit(api, wanted)
        found = dict(_tree(api, wanted, commit))
        chosen = list(filter_repo_objects(sorted(found), allow_patterns=wanted.patterns))
        files = [HubFile(path, found[path], _url(wanted, commit, path)) for path in chosen]
    _check(files, wanted, limits)
    return files


def _commit(api: HfApi, wanted: Wanted) -> str:
    about = api.repo_info(wanted.repo_id, repo_type=wanted.repo_type, revision=wanted.revision)
    if not COMMIT.fullmatch(about.sha or ""):
        raise ValueError("no commit")
    return str(about.sha)


def _tree(api: HfApi, wanted: Wanted, commit: str) -> Iterator[tuple[str, int]]:
    entries = api.list_repo_tree(
        wanted.repo_id, recursive=True, revision=commit, repo_type=wanted.repo_type
    )
    for number, entry in enumerate(entries):
        if number >= MOST_LISTED:
            raise WebError(f"the {wanted.named} has over {MOST_LISTED} files and folders")
        if not isinstance(entry, RepoFile):
            continue
        if not isinstance(entry.path, str) or type(entry.size) is not int or entry.size < 0:
            raise ValueError("no file")
        bad = taint(entry.path)
        if bad or not entry.path or entry.path.endswith("/"):
            reason = bad.reason if bad else "names no file"
            raise WebError(f"the {wanted.named} has a path {entry.path[:200]!r} that {reason}")
        yield entry.path, entry.size


def _url(wanted: Wanted, commit: str, path: str) -> str:
    return hf_hub_url(
        wanted.repo_id,
        path,
        repo_type=wanted.repo_type,
        revision=commit,
        endpoint=wanted.endpoint,
    )


def _check(files: list[HubFile], wanted: Wanted, limits: Limits) -> None:
    if not files and wanted.patterns is not None:
        raise WebError(f"no file of the {wanted.named} matches allow_patterns")
    chosen = f"what was asked for of the {wanted.named} has"
    remedy = "choose less with allow_patterns"
    if len(files) > limits.files:
        raise WebError(f"{chosen} {len(files)} files, {limits.files} are allowed; {remedy}")
    total = sum(file.size for file in files)
    if total > limits.size:
        raise WebError(f"{chosen} {total} bytes, {limits.size} are allowed; {remedy}")


@contextmanager
def _told(wanted: Wanted) -> Iterator[None]:
    """The library's errors in our words; they hold URLs, ours do not."""
    who = "this token" if wanted.token else "nobody without a token"
    try:
        yield
    except GatedRepoError as exc:
        raise WebError(wanted.gated()) from exc
    except RevisionNotFoundError as exc:
        text = f"the {wanted.named} has no revision {str(wanted.revision)[:200]!r}"
        raise WebError(text) from exc
    except RepositoryNotFoundError as exc:
        text = f"there is no {wanted.named}, or {who} may read it; check repo_id and repo_type"
        raise WebError(text) from exc
    except HFValidationError as exc:
        raise WebError(f"{wanted.repo_id[:200]!r} is no repo_id") from exc
    except HfHubHTTPError as exc:
        status = exc.response.status_code
        remedy = "; check the token" if wanted.token and status in NO_ACCESS else ""
        text = f"the hub answered HTTP {status} about the {wanted.named}{remedy}"
        raise WebError(text, status) from exc
    except (*NONSENSE, httpx2.HTTPError, httpx2.InvalidURL) as exc:
        text = f"the answer about the {wanted.named} is none that a hub gives"
        raise HordeError(HordeReason.GENERIC_ERROR, text) from exc
