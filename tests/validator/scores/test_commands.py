"""The commands `explain` and `export`."""

import json

import pytest

from compute_horde import signing
from compute_horde.errors import ConfigurationError
from tests.peers.keys import VALIDATOR
from validator.scores.commands import explain, export
from validator.scores.recording import replay

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("_scored")
@pytest.mark.parametrize("which", [[], ["--cycle", "708"]])
def test_a_score_is_explained(which: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    explain(["alice", *which])
    shown = capsys.readouterr().out
    assert "alice (uid 0), work in blocks 708 to 1429" in shown
    assert "completed synthetic jobs [always_on.test]: 1 jobs" in shown


@pytest.mark.usefixtures("_scored")
def test_the_signed_document_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    explain(["alice", "--json"])
    answer = json.loads(capsys.readouterr().out)
    signing.verify_hex(VALIDATOR.ss58_address, answer["document"].encode(), answer["signature"])


@pytest.mark.usefixtures("_scored")
def test_an_export_can_be_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    export(["--cycle", "708"])
    assert replay(capsys.readouterr().out.encode())[1]


@pytest.mark.parametrize("run", [lambda: explain(["alice"]), lambda: export([])])
def test_before_any_cycle_is_scored_that_is_said(run) -> None:
    with pytest.raises(ConfigurationError, match="no cycle is scored yet"):
        run()


@pytest.mark.usefixtures("_scored")
@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (lambda: explain(["bob"]), "bob was not registered when any cycle"),
        (lambda: explain(["bob", "--cycle", "708"]), "bob was not registered when that cycle"),
        (lambda: explain(["alice", "--cycle", "7"]), "begins in block 7; the newest are 708"),
        (lambda: export(["--cycle", "7"]), "begins in block 7; the newest are 708"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(run, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        run()
