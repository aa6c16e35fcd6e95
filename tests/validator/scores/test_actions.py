"""A cycle is scored once, and everything that its scores come from is stored with them."""

import json

import pytest

from compute_horde import signing
from tests.peers.keys import VALIDATOR
from tests.validator.scores.cycles import CYCLE, NETUID, attempt, batch, registered, seen
from validator.scores.actions import ScoresDifferError, ensure_scored, exported
from validator.scores.models import Score
from validator.scores.recording import replay
from validator.scoring.parameters import LimitParameters, ScoringParameters

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _cycle() -> None:
    seen(CYCLE.start, CYCLE.stop)
    registered("alice", "bob", "carol")
    held = batch()
    for _ in range(3):
        attempt(held, "alice")
    attempt(held, "bob")
    attempt(held, "carol", "wrong_answer")


def test_scores_are_stored_with_their_signed_explanations(parameters: ScoringParameters) -> None:
    ensure_scored(CYCLE, NETUID, parameters, VALIDATOR)
    scores = {one.hotkey: one for one in Score.objects.all()}
    assert {name: float(one.share) for name, one in scores.items()} == {
        "alice": 0.75,
        "bob": 0.25,
        "carol": 0,
    }
    assert [scores[name].u16 for name in ("alice", "bob", "carol")] == [65535, 21845, 0]
    for one in scores.values():
        signing.verify_hex(VALIDATOR.ss58_address, one.document.encode(), one.signature)
        assert json.loads(one.document)["hotkey"] == one.hotkey
    assert "answered wrongly" in scores["carol"].document


def test_a_cycle_is_scored_once(parameters: ScoringParameters) -> None:
    first = ensure_scored(CYCLE, NETUID, parameters, VALIDATOR)
    limits = LimitParameters(max_weight=40000)
    again = ensure_scored(
        CYCLE, NETUID, parameters.model_copy(update={"limits": limits}), VALIDATOR
    )
    assert again == first
    assert Score.objects.count() == 3


def test_what_is_exported_replays_to_the_stored_scores(parameters: ScoringParameters) -> None:
    scored = ensure_scored(CYCLE, NETUID, parameters, VALIDATOR)
    scores, is_same = replay(exported(scored).encode())
    assert is_same
    assert {miner.hotkey: miner.u16 for miner in scores.miners} == dict(
        Score.objects.values_list("hotkey", "u16")
    )


def test_scores_of_another_version_are_not_exported_as_if_they_were_ours(
    parameters: ScoringParameters,
) -> None:
    scored = ensure_scored(CYCLE, NETUID, parameters, VALIDATOR)
    Score.objects.filter(hotkey="bob").update(u16=1)
    with pytest.raises(ScoresDifferError, match="another version"):
        exported(scored)
