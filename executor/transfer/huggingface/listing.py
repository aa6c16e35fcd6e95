"""Lists a repository's files; only this module imports huggingface_hub, which takes long."""

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
from compute_horde.volumes import path_problem
from executor.transfer.hop_by_hop import HOP_BY_HOP
from executor.transfer.http_client import Reply
from executor.transfer.http_errors import NO_ACCESS, WebError
from executor.transfer.huggingface.request import HubFile, RepoLimits, RepoRequest

# With telemetry, it would fetch a list of programs in order to report this one to the hub.
constants.HF_HUB_DISABLE_TELEMETRY = True

COMMIT = re.compile(r"[0-9a-f]{40}")
# Connections and encodings end at `HttpClient`.
DROPPED = HOP_BY_HOP | {"content-encoding", "content-length"}
MOST_LISTED = 100_000
# Raised by the library for an answer that is not a hub's.
NONSENSE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)

# Requests one URL with these headers and waits for the answer.
Ask = Callable[[str, dict[str, str]], Reply]


class _ClientTransport(httpx2.BaseTransport):
    """Sends the library's requests through `HttpClient`, which has limits and can be cancelled."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        reply = self._ask(str(request.url), dict(request.headers))
        headers = {k: v for k, v in reply.headers.items() if k not in DROPPED}
        return httpx2.Response(reply.status, headers=headers, content=reply.body, request=request)


def listed(repo_request: RepoRequest, ask: Ask, limits: RepoLimits) -> list[HubFile]:
    """The requested files of one commit; raises `WebError` for what the hub does not have."""
    set_client_factory(
        # Proxies of the environment would bypass the transport.
        lambda: httpx2.Client(
            transport=_ClientTransport(ask), follow_redirects=True, trust_env=False
        )
    )
    with _described_errors(repo_request):
        api = HfApi(endpoint=repo_request.endpoint, token=repo_request.token or False)
        commit = _commit(api, repo_request)
        found = dict(_tree(api, repo_request, commit))
        chosen = list(filter_repo_objects(sorted(found), allow_patterns=repo_request.patterns))
        files = [HubFile(path, found[path], _url(repo_request, commit, path)) for path in chosen]
    _check(files, repo_request, limits)
    return files


def _commit(api: HfApi, repo_request: RepoRequest) -> str:
    about = api.repo_info(
        repo_request.repo_id, repo_type=repo_request.repo_type, revision=repo_request.revision
    )
    if not COMMIT.fullmatch(about.sha or ""):
        raise ValueError("no commit")
    return str(about.sha)


def _tree(api: HfApi, repo_request: RepoRequest, commit: str) -> Iterator[tuple[str, int]]:
    entries = api.list_repo_tree(
        repo_request.repo_id, recursive=True, revision=commit, repo_type=repo_request.repo_type
    )
    for number, entry in enumerate(entries):
        if number >= MOST_LISTED:
            raise WebError(f"the {repo_request.named} has over {MOST_LISTED} files and folders")
        if not isinstance(entry, RepoFile):
            continue
        if not isinstance(entry.path, str) or type(entry.size) is not int or entry.size < 0:
            raise ValueError("no file")
        bad = path_problem(entry.path)
        if bad or not entry.path or entry.path.endswith("/"):
            reason = bad.reason if bad else "names no file"
            raise WebError(
                f"the {repo_request.named} has a path {entry.path[:200]!r} that {reason}"
            )
        yield entry.path, entry.size


def _url(repo_request: RepoRequest, commit: str, path: str) -> str:
    return hf_hub_url(
        repo_request.repo_id,
        path,
        repo_type=repo_request.repo_type,
        revision=commit,
        endpoint=repo_request.endpoint,
    )


def _check(files: list[HubFile], repo_request: RepoRequest, limits: RepoLimits) -> None:
    if not files and repo_request.patterns is not None:
        raise WebError(f"no file of the {repo_request.named} matches allow_patterns")
    chosen = f"the requested part of the {repo_request.named} has"
    remedy = "choose less with allow_patterns"
    if len(files) > limits.files:
        raise WebError(f"{chosen} {len(files)} files, {limits.files} are allowed; {remedy}")
    total = sum(file.size for file in files)
    if total > limits.size:
        raise WebError(f"{chosen} {total} bytes, {limits.size} are allowed; {remedy}")


@contextmanager
def _described_errors(repo_request: RepoRequest) -> Iterator[None]:
    """Turn the library's errors, whose texts hold URLs, into errors without URLs."""
    who = "this token" if repo_request.token else "nobody without a token"
    try:
        yield
    except GatedRepoError as exc:
        raise WebError(repo_request.gated()) from exc
    except RevisionNotFoundError as exc:
        text = f"the {repo_request.named} has no revision {str(repo_request.revision)[:200]!r}"
        raise WebError(text) from exc
    except RepositoryNotFoundError as exc:
        text = (
            f"there is no {repo_request.named}, or {who} may read it; check repo_id and repo_type"
        )
        raise WebError(text) from exc
    except HFValidationError as exc:
        raise WebError(f"{repo_request.repo_id[:200]!r} is no repo_id") from exc
    except HfHubHTTPError as exc:
        status = exc.response.status_code
        remedy = "; check the token" if repo_request.token and status in NO_ACCESS else ""
        text = f"the hub answered HTTP {status} about the {repo_request.named}{remedy}"
        raise WebError(text, status) from exc
    except (*NONSENSE, httpx2.HTTPError, httpx2.InvalidURL) as exc:
        text = f"the hub's answer about the {repo_request.named} is not valid"
        raise HordeError(HordeReason.GENERIC_ERROR, text) from exc
