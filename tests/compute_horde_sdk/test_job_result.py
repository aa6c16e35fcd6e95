"""Results are parsed from the wire; malformed parts are left out."""

import pytest

from compute_horde_sdk.job_result import (
    ComputeHordeJobResult,
    HttpOutputVolumeResponse,
    missing,
    pushed_result,
    result_from,
)
from compute_horde_sdk.job_status import entry_from

ANSWER = HttpOutputVolumeResponse(headers={"etag": "x"}, body="b")
NOW = "2026-01-01T00:00:00Z"


def test_artifacts_and_answers_to_uploads_are_decoded():
    result = result_from("o", None, {"/a/b": "eA=="}, {"f": ANSWER.model_dump_json()})
    assert result == ComputeHordeJobResult("o", "", {"/a/b": b"x"}, {"/output/f": ANSWER})


@pytest.mark.parametrize(
    "value", ["", "[]", "{}", '{"headers": 1, "body": ""}', "[" * 100_000, None]
)
def test_a_malformed_answer_to_an_upload_is_left_out(value):
    assert result_from("", "", None, {"bad": value, "good": ANSWER.model_dump_json()}) == (
        ComputeHordeJobResult("", "", {}, {"/output/good": ANSWER})
    )


def test_a_malformed_artifact_is_left_out():
    assert result_from("", "", {"bad": "é", "odd": "a"}, None).artifacts == {}


@pytest.mark.parametrize("metadata", [None, {}, {"anything": 1}])
def test_an_ending_that_says_nothing_has_no_result(metadata):
    ending = entry_from({"status": "completed", "created_at": NOW, "metadata": metadata})
    assert pushed_result(ending) is None


BIG = {"name": "/artifacts/big", "size": 5, "why": "too large"}


@pytest.mark.parametrize(
    "value", [None, {}, "x", 5, [5], [{"name": "x"}], [{"size": -1} | BIG, "x"]]
)
def test_a_malformed_list_of_what_is_left_out_costs_nothing_else(value):
    result = result_from("o", "", None, None, value, {"stdout": -1})
    assert result.stdout == "o"
    assert [one.name for one in result.left_out] in ([], ["/artifacts/big"])
    assert result.truncated == {}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("/artifacts", {"/artifacts/big", "/artifacts/sub/", ""}),
        ("/artifacts/big", {"/artifacts/big", ""}),
        ("/artifacts/bi", {""}),
        ("/artifacts/sub", {"/artifacts/sub/", ""}),
        ("/artifacts/sub/deep/x", {"/artifacts/sub/", ""}),
    ],
)
def test_what_is_missing_of_a_path_is_itself_what_is_below_and_the_folder_above(source, names):
    value = [BIG, BIG | {"name": "/artifacts/sub/"}, BIG | {"name": ""}]
    left_out = result_from("", "", None, None, value, None).left_out
    assert {one.name for one in missing(left_out, source)} == names


def test_a_failed_job_s_cut_output_is_named():
    details = {"reason": "nonzero_return_code", "message": "m", "docker_process_stdout": "o"}
    metadata = {"job_failure_details": details | {"truncated": {"stdout": 7}}}
    ending = entry_from({"status": "failed", "created_at": NOW, "metadata": metadata})
    assert pushed_result(ending).truncated == {"stdout": 7}
