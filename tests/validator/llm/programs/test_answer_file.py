"""Files of prompts and answers, also bad ones."""

import json

import pytest

from validator.llm.programs import answer_file
from validator.llm.programs.answer_file import (
    BadFileError,
    answers_text,
    digest,
    prompts_text,
    read_answers,
    read_prompts,
    read_trace,
    trace_text,
)


def test_files_are_read_as_they_were_written() -> None:
    prompts = ["Write about żółw", "Compare a and b"]
    assert read_prompts(prompts_text(prompts)) == prompts
    answers = dict.fromkeys(prompts, " an answer\nof two lines")
    assert read_answers(answers_text(answers)) == answers
    traces = {"p": [[(" a", 0.0), ("", 0.5)]]}
    is_deterministic, found = read_trace(trace_text("tiny", traces, is_deterministic=False))
    assert (is_deterministic, found) == (False, {"p": [[[" a", 0.0], ["", 0.5]]]})


def test_the_digest_is_of_all_bytes() -> None:
    assert digest(b"a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_empty_lines_and_repeated_prompts_are_left_out() -> None:
    assert read_prompts(b"\n a \r\nb\na\n\n") == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no prompts"),
        (b"\xff", "not UTF-8"),
        (b"a\x00b", "NUL"),
        (b"x" * 4097, "4,097 characters, over 4,096"),
        (b"x" * (answer_file.MAX_BYTES + 1), "bytes, over"),
    ],
)
def test_bad_prompts_are_named(content: bytes, problem: str) -> None:
    with pytest.raises(BadFileError, match=problem):
        read_prompts(content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JSON object"),
        (b'{"a": 1}', "no text"),
        (b'{"a": "' + b"x" * answer_file.MAX_BYTES + b'"}', "bytes, over"),
    ],
)
def test_bad_answers_are_named(content: bytes, problem: str) -> None:
    with pytest.raises(BadFileError, match=problem):
        read_answers(content)


@pytest.mark.parametrize("content", [{}, {"deterministic": 1, "traces": {}}])
def test_a_bad_trace_is_named(content: dict[str, object]) -> None:
    with pytest.raises(BadFileError, match="deterministic"):
        read_trace(json.dumps(content).encode())
