"""A repository request is checked before the hub is contacted; its token is in no text."""

import pytest

from compute_horde.volumes import HuggingfaceVolume
from executor.transfer.http_errors import WebError
from executor.transfer.huggingface.request import RepoRequest, repo_request


def request(own_token=None, **fields):
    volume = HuggingfaceVolume(repo_id="org/name", **fields)
    return repo_request(volume, endpoint="https://hub.example", own_token=own_token)


def test_what_is_not_said_is_the_usual():
    assert request() == RepoRequest("https://hub.example", "org/name", "model", None, None, None)
    assert request().authorization == {}


def test_a_job_s_token_comes_before_the_executor_s():
    assert request("hf_own").authorization == {"Authorization": "Bearer hf_own"}
    asked = request("hf_own", token="hf_job", allow_patterns="*.json", revision="")
    assert asked.authorization == {"Authorization": "Bearer hf_job"}
    assert (asked.patterns, asked.revision) == (["*.json"], None)
    assert "hf_" not in asked.named + asked.gated()


@pytest.mark.parametrize("token", ["a b", "a\r\nb", "é", "a\0"])
def test_a_token_that_would_change_the_request_is_refused(token):
    with pytest.raises(WebError, match="no token has"):
        request(token=token)
