"""Which jobs are repeated, and what two results prove."""

import secrets
from typing import Any

import pytest

from compute_horde.protocol.job import StreamingDetails
from compute_horde.protocol.left_out import LeftOut
from compute_horde.uploads import ZipPut
from compute_horde.volumes import (
    HuggingfaceVolume,
    InlineVolume,
    MultiVolume,
    SingleFileVolume,
    ZipUrlVolume,
)
from tests.peers.miner import result
from tests.peers.user import request
from validator.trusted_miner import rules
from validator.trusted_miner.rules import CheatVerdict, differences, reason_not_to_repeat

UUID = request().uuid
DECLARED = {"env": {rules.DETERMINISTIC: "1"}}
URL = ZipUrlVolume(contents="http://files/a.zip?X-Amz-Signature=1")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
IMAGES = ["computehorde/*"]


def test_a_share_of_the_jobs_is_sampled_the_same_ones_every_time() -> None:
    uuids = [secrets.token_hex(16) for _ in range(2000)]
    chosen = [uuid for uuid in uuids if rules.is_sampled(uuid, b"secret", 0.25)]
    assert 350 < len(chosen) < 650
    assert chosen == [uuid for uuid in uuids if rules.is_sampled(uuid, b"secret", 0.25)]
    assert chosen != [uuid for uuid in uuids if rules.is_sampled(uuid, b"another", 0.25)]
    assert not any(rules.is_sampled(uuid, b"secret", 0) for uuid in uuids)
    assert all(rules.is_sampled(uuid, b"secret", 1) for uuid in uuids)


@pytest.mark.parametrize(
    ("fields", "images", "reason"),
    [
        ({}, IMAGES, None),
        ({}, [], "not declared"),
        (DECLARED, [], None),
        ({"env": {rules.DETERMINISTIC: "0"}}, [], "not declared"),
        ({"volume": InlineVolume(contents="")}, IMAGES, None),
        ({"volume": HuggingfaceVolume(repo_id="a/b", revision=COMMIT)}, IMAGES, None),
        ({"volume": HuggingfaceVolume(repo_id="a/b", revision="main")}, IMAGES, "inputs"),
        ({"volume": HuggingfaceVolume(repo_id="a/b")}, IMAGES, "inputs"),
        ({"volume": URL}, IMAGES, "inputs"),
        ({"volume": MultiVolume(volumes=[InlineVolume(contents=""), URL])}, IMAGES, "inputs"),
        (DECLARED | {"volume": URL}, [], "inputs"),
        (DECLARED | {"volume": InlineVolume(contents="")}, [], None),
        ({"on_trusted_miner": True}, IMAGES, "trusted miner"),
        (DECLARED | {"streaming_details": StreamingDetails(public_key="k")}, [], "streams"),
        (DECLARED | {"execution_time_limit": 600}, [], "too long"),
    ],
)
def test_a_job_is_repeated_only_when_that_can_prove_something(
    fields: dict[str, Any], images: list[str], reason: str | None
) -> None:
    found = reason_not_to_repeat(request(**fields), images, 600)
    assert (reason in found) if reason and found else found is reason


def test_a_repetition_uploads_nothing_and_is_the_validator_s_own() -> None:
    job = request(output_upload=ZipPut(url="http://bucket/a"), args=["a"])
    again = rules.repetition(job)
    assert (again.output_upload, again.signature, again.binding) == (None, None, None)
    assert again.on_trusted_miner
    assert (again.args, again.docker_image) == (["a"], job.docker_image)


def test_the_same_work_has_other_uuids_limits_uploads_and_signed_urls() -> None:
    job = request(volume=URL)
    signed_again = ZipUrlVolume(contents="http://files/a.zip?X-Amz-Signature=2")
    alike = request(
        volume=MultiVolume(volumes=[signed_again]),
        on_trusted_miner=True,
        execution_time_limit=99,
        output_upload=ZipPut(url="http://bucket/a"),
        artifacts_dir="",
    )
    assert rules.is_same_work(job, alike)
    for change in (
        {"args": ["other"]},
        {"env": {"A": "1"}},
        {"docker_image": "other"},
        {"artifacts_dir": "/a"},
        {"volume": ZipUrlVolume(contents="http://files/b.zip")},
        {"volume": SingleFileVolume(url="http://files/a.zip", relative_path="a")},
        {"volume": None},
    ):
        assert not rules.is_same_work(job, request(**{"volume": URL} | change))


def test_inline_inputs_are_compared_whole() -> None:
    one, other = (request(volume=InlineVolume(contents=text)) for text in ("a?1", "a?2"))
    assert not rules.is_same_work(one, other)


def test_equal_results_do_not_differ_whatever_was_logged() -> None:
    one = result(UUID, "out", artifacts={"/a": "AA=="})
    other = result(UUID, "out", artifacts={"/a": "AA=="}).model_copy(
        update={"docker_process_stderr": "10 %"}
    )
    assert differences(one, other) == []


def test_each_part_that_differs_is_named_with_digests() -> None:
    one = result(UUID, "same then 1", artifacts={"/a": "AA==", "/b": "AA=="})
    other = result(UUID, "same then 2", artifacts={"/a": "AQ==", "/c": "AA=="})
    found = differences(one, other)
    assert [each.what for each in found] == ["stdout", "artifact /a", "artifact /b", "artifact /c"]
    assert found[0].where == (
        "at character 10: the miner has 'same then 1', the trusted miner 'same then 2'"
    )
    assert [len(each.miner) for each in found] == [64, 64, 64, 7]
    assert (found[2].trusted, found[3].miner) == ("missing", "missing")
    assert found[0].as_json()["what"] == "stdout"


def test_binary_output_is_compared_by_its_bytes() -> None:
    raw = [result(UUID, "\ufffd", raw_output={"stdout": data}) for data in ("/w==", "/g==")]
    assert len(differences(*raw)) == 1
    assert differences(raw[0], raw[0]) == []


def test_output_that_ends_early_differs() -> None:
    [found] = differences(result(UUID, "abc"), result(UUID, "ab"))
    assert found.where.startswith("at character 2:")


@pytest.mark.parametrize("name", ["/a", "/", ""])
def test_artifacts_that_did_not_fit_are_not_compared(name: str) -> None:
    partial = result(UUID, "", left_out=(LeftOut(name=name, why="too long"),))
    whole = result(UUID, "", artifacts={"/a": "AA=="})
    assert differences(whole, partial) == differences(partial, whole) == []
    assert differences(partial, partial) == []
    assert rules.unsent(whole, partial) == rules.unsent(partial, partial) == []


@pytest.mark.parametrize("name", ["/a", "/", ""])
def test_what_only_the_miner_left_out_is_neither_the_same_nor_another(name: str) -> None:
    of_miner = result(UUID, "", left_out=(LeftOut(name=name, why="too long"),))
    whole = result(UUID, "", artifacts={"/a": "AA=="})
    assert differences(of_miner, whole) == []
    assert rules.unsent(of_miner, whole) == ["/a"]
    # It excuses no artifact that the miner has and the trusted miner has not.
    more = result(UUID, "", artifacts={"/b": "AA=="}, left_out=of_miner.left_out)
    assert [one.what for one in differences(more, result(UUID, ""))] == ["artifact /b"]


def test_another_artifact_that_is_missing_is_a_difference() -> None:
    one = result(UUID, "", left_out=(LeftOut(name="/b", why="too long"),))
    assert len(differences(one, result(UUID, "", artifacts={"/a": "AA=="}))) == 1


def test_the_number_of_differences_has_a_bound() -> None:
    many = result(UUID, "", artifacts={f"/{n}": "AA==" for n in range(1000)})
    assert len(differences(many, result(UUID, ""))) == rules.MAX_DIFFERENCES


def test_a_report_is_disproved_by_equal_results_and_proved_by_no_single_difference() -> None:
    found = differences(result(UUID, "a"), result(UUID, "b"))
    verdict = rules.verdict_on_report
    assert verdict(found, [], has_uploads=False) is CheatVerdict.UNPROVED
    assert verdict([], ["/a"], has_uploads=False) is CheatVerdict.UNPROVED
    assert verdict([], [], has_uploads=False) is CheatVerdict.DISPROVED
    for differing in (found, []):
        assert verdict(differing, [], has_uploads=True) is CheatVerdict.BELIEVED
    assert {CheatVerdict.PROVED, CheatVerdict.BELIEVED} == rules.COUNTED
