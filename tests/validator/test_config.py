"""Settings from the environment."""

import pytest

from compute_horde.configuration import load
from compute_horde.errors import ConfigurationError
from validator.config import Config
from validator.scoring.parameters import FormulaName


@pytest.mark.parametrize(
    ("text", "words"),
    [("a, b", ["a", "b"]), ('["a", "b"]', ["a", "b"]), ("", []), ("a", ["a"])],
)
def test_lists_in_the_environment_may_be_json_or_comma_separated(
    monkeypatch: pytest.MonkeyPatch, text: str, words: list[str]
) -> None:
    monkeypatch.setenv("VALIDATOR_ALLOWED_SIGNERS", text)
    assert Config().allowed_signers == words


@pytest.mark.parametrize("prefix", ["VALIDATOR_", ""])
def test_the_trusted_miner_has_our_names_and_the_published_ones(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv(f"{prefix}TRUSTED_MINER_ADDRESS", "10.0.0.1")
    monkeypatch.setenv(f"{prefix}TRUSTED_MINER_PORT", "8000")
    config = load(Config)
    assert (config.trusted_miner_address, config.trusted_miner_port) == ("10.0.0.1", 8000)


def test_an_address_without_a_port_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALIDATOR_TRUSTED_MINER_ADDRESS", "10.0.0.1")
    with pytest.raises(ConfigurationError, match="VALIDATOR_TRUSTED_MINER_PORT is not set"):
        load(Config)


def test_every_formula_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for formula in FormulaName:
        monkeypatch.setenv("VALIDATOR_FORMULA", formula.value)
        assert Config().parameters().formula is formula
