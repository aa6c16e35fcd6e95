"""Results are built from what came, and what cannot be read is left out."""

import pytest

from compute_horde_sdk.results import (
    ComputeHordeJobResult,
    HttpOutputVolumeResponse,
    pushed_result,
    result_from,
)
from compute_horde_sdk.statuses import entry_from

ANSWER = HttpOutputVolumeResponse(headers={"etag": "x"}, body="b")
NOW = "2026-01-01T00:00:00Z"


def test_artifacts_and_answers_to_uploads_are_decoded():
    result = result_from("o", None, {"/a/b": "eA=="}, {"f": ANSWER.model_dump_json()})
    assert result == ComputeHordeJobResult("o", "", {"/a/b": b"x"}, {"/output/f": ANSWER})


@pytest.mark.parametrize(
    "told", ["", "[]", "{}", '{"headers": 1, "body": ""}', "[" * 100_000, None]
)
def test_a_malformed_answer_to_an_upload_is_left_out(told):
    assert result_from("", "", None, {"bad": told, "good": ANSWER.model_dump_json()}) == (
        ComputeHordeJobResult("", "", {}, {"/output/good": ANSWER})
    )


def test_a_malformed_artifact_is_left_out():
    assert result_from("", "", {"bad": "é", "odd": "a"}, None).artifacts == {}


@pytest.mark.parametrize("metadata", [None, {}, {"anything": 1}])
def test_an_ending_that_says_nothing_has_no_result(metadata):
    ending = entry_from({"status": "completed", "created_at": NOW, "metadata": metadata})
    assert pushed_result(ending) is None
