"""A recorded cycle gives the same bytes when it is recomputed, and no other file passes for one."""

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings

from compute_horde.hardware import ExecutorClass
from tests.validator.scoring import cycle_facts
from validator.scores.recording import (
    RecordingError,
    facts_json,
    read_facts,
    read_parameters,
    recording,
    replay,
)
from validator.scoring.facts import CycleFacts, JobOutcome, RegisteredMiner, WorkedJob
from validator.scoring.formulas import score_cycle
from validator.scoring.parameters import FormulaName

LLM = ExecutorClass.always_on__llm__a6000
FACTS = CycleFacts(
    cycle_start=722,
    miners=(RegisteredMiner("alice", 1, "cold"), RegisteredMiner("bob", 7)),
    jobs=(
        WorkedJob(
            "j1",
            "alice",
            LLM,
            JobOutcome.COMPLETED,
            at=Fraction(1764460800123, 1000),
            seconds=Fraction(1, 8),
        ),
        WorkedJob("j2", "bob", LLM, JobOutcome.WRONG),
    ),
)
PARAMETERS = cycle_facts.one_class(FormulaName.JOBS)
SCORES = score_cycle(FACTS, PARAMETERS)
RECORDING = recording(FACTS, SCORES)


def test_facts_are_read_back_unchanged() -> None:
    assert read_facts(facts_json(FACTS)) == FACTS
    assert facts_json(read_facts(facts_json(FACTS))) == facts_json(FACTS)


def test_parameters_are_read_back_unchanged() -> None:
    assert read_parameters(PARAMETERS.canonical_json()) == PARAMETERS


def test_a_number_that_json_cannot_hold_is_not_rounded_silently() -> None:
    job = WorkedJob("j", "alice", LLM, JobOutcome.COMPLETED, seconds=Fraction(1, 3))
    with pytest.raises(ValueError, match="too many digits"):
        facts_json(CycleFacts(722, FACTS.miners, jobs=(job,)))


def test_a_replay_gives_the_recorded_scores() -> None:
    scores, is_same = replay(RECORDING.encode())
    assert is_same
    assert scores.canonical_json() == SCORES.canonical_json()
    assert [miner.u16 for miner in scores.miners] == [65535, 0]


@settings(max_examples=30, deadline=None)
@given(cycle_facts.cycle_facts())
def test_any_cycle_is_replayed_to_the_byte(facts: CycleFacts) -> None:
    text = recording(facts, score_cycle(facts, PARAMETERS)).encode()
    assert replay(text)[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["scores"]["miners"][0].update(u16=1),
        lambda document: document["scores"]["miners"][0]["items"][0].update(amount="0.5"),
        lambda document: document["facts"]["jobs"].pop(),
        lambda document: document["parameters"].update(version="other"),
        lambda document: document["scores"].update(more=1),
    ],
)
def test_what_was_changed_is_noticed(change) -> None:
    document = json.loads(RECORDING)
    change(document)
    assert not replay(json.dumps(document).encode())[1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "facts, parameters and scores"),
        (b'{"facts": {}, "parameters": {}, "scores": {}}', "facts: cycle_start"),
        (RECORDING.replace('"formula":"jobs"', '"formula":"luck"').encode(), "parameters: formula"),
        (RECORDING.replace('"uid":7', '"uid":1').encode(), "uid 1 is there twice"),
        (RECORDING.replace('"cycle_start":722', '"cycle_start":1e999').encode(), "cycle_start"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_by_name(text: bytes, problem: str) -> None:
    with pytest.raises(RecordingError, match=problem):
        replay(text)
