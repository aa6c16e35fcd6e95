"""Settings from the environment."""

import pytest

from validator.config import Config


@pytest.mark.parametrize(
    ("text", "words"),
    [("a, b", ["a", "b"]), ('["a", "b"]', ["a", "b"]), ("", []), ("a", ["a"])],
)
def test_lists_in_the_environment_may_be_json_or_comma_separated(
    monkeypatch: pytest.MonkeyPatch, text: str, words: list[str]
) -> None:
    monkeypatch.setenv("VALIDATOR_ALLOWED_SIGNERS", text)
    assert Config().allowed_signers == words
