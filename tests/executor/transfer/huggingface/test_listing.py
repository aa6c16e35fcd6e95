"""Requests of the hub's library and handling of its results, without a hub."""

import json

import pytest

from executor.transfer.http_client import Reply
from executor.transfer.http_errors import WebError
from executor.transfer.huggingface import listing
from executor.transfer.huggingface.request import HubFile, RepoLimits, RepoRequest

COMMIT = "a" * 40
TREE = [{"type": "file", "path": f"{name} #1", "size": 3, "oid": "0"} for name in "ba"]


def listed(limits=RepoLimits(10, 100), **changes):  # noqa: B008
    """Returns the listed files, and the requests with their credentials."""
    asked = []

    def ask(url, headers):
        asked.append((url, headers.get("authorization")))
        body = TREE if "/tree/" in url else {"id": "org/name", "sha": COMMIT}
        encoded = {"content-encoding": "gzip", "content-type": "application/json"}
        return Reply(200, encoded, json.dumps(body).encode())

    request = RepoRequest("http://hub.example/at", "org/name", "dataset", "v/1", None, "hf_x")
    return listing.listed(request._replace(**changes), ask, limits), asked


def test_a_revision_is_asked_for_once_and_files_by_its_commit():
    files, asked = listed()
    resolve = f"http://hub.example/at/datasets/org/name/resolve/{COMMIT}"
    assert files == [
        HubFile("a #1", 3, f"{resolve}/a%20%231"),
        HubFile("b #1", 3, f"{resolve}/b%20%231"),
    ]
    assert [url.split("?")[0] for url, _ in asked] == [
        "http://hub.example/at/api/datasets/org/name/revision/v%2F1",
        f"http://hub.example/at/api/datasets/org/name/tree/{COMMIT}",
    ]
    assert {token for _, token in asked} == {"Bearer hf_x"}


def test_nobody_s_token_is_sent_when_none_is_given(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_machine")
    assert {token for _, token in listed(token=None)[1]} == {None}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [(RepoLimits(1, 100), "2 files, 1 are"), (RepoLimits(10, 5), "6 bytes, 5 are")],
)
def test_what_is_over_a_limit_is_refused_with_the_remedy(limits, expected):
    with pytest.raises(WebError, match=f"{expected} allowed; choose less with allow_patterns"):
        listed(limits)
    assert [file.path for file in listed(limits, patterns=["a*"])[0]] == ["a #1"]
