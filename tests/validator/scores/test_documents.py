"""A miner's explanation: the signed document, and the same for people."""

import json

from tests.validator.scores.test_recording import SCORES
from validator.scores.documents import as_text, documents

TEXTS = documents(SCORES, validator="us", cycle_start=722, cycle_stop=1444)


def test_each_registered_miner_has_a_document_in_canonical_form() -> None:
    assert sorted(TEXTS) == ["alice", "bob"]
    document = json.loads(TEXTS["alice"])
    assert json.dumps(document, sort_keys=True, separators=(",", ":")) == TEXTS["alice"]
    assert (document["type"], document["validator"]) == ("score", "us")
    assert (document["cycle_start"], document["cycle_stop"]) == (722, 1444)
    assert (document["share"], document["u16"]) == ("1", 65535)
    assert sum(float(item["amount"]) for item in document["items"]) == 1


def test_the_text_names_each_reason_and_what_would_change_a_zero() -> None:
    text = as_text(json.loads(TEXTS["bob"]))
    assert "bob (uid 7), work in blocks 722 to 1443" in text
    assert "synthetic jobs answered wrongly [always_on.llm.a6000]: 1 jobs" in text
    assert "what would change it: return the right answer" in text
