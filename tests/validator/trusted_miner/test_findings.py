"""Claims that a result is false: who may make them, what they prove, and what is kept."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from compute_horde.protocol.left_out import LeftOut
from compute_horde.uploads import ZipPut
from compute_horde.vocabulary import JobState
from compute_horde.volumes import InlineVolume, ZipUrlVolume
from tests.peers.keys import STRANGER, USER
from tests.validator.conftest import configured
from tests.validator.trusted_miner.ended_jobs import completed, printed, report
from validator.config import Config
from validator.jobs.models import Job
from validator.trusted_miner import findings
from validator.trusted_miner.models import CheatFinding, CrossValidation
from validator.trusted_miner.rules import DETERMINISTIC, CheatVerdict, differences

pytestmark = pytest.mark.django_db

V = CheatVerdict


def trusted(stdout: str = "hi\n", **fields: Any) -> Job:
    return completed(stdout, **{"on_trusted_miner": True} | fields)


def told(job: Job, proof: Job | str, **fields: Any) -> None:
    """A user's report arrives."""
    findings.record_cheat_report(report(job, proof, **fields), settings())


def settings(**fields: Any) -> Config:
    given = {"trusted_miner_address": "127.0.0.1", "trusted_miner_port": 1}
    return configured(**given | fields)


def proved(job: Job, images: Sequence[str] = ()) -> None:
    """Cross-validation finds that the job's result is false."""
    theirs = printed(str(uuid4()), "right\n")
    ours = findings.result_of(job.pk)
    assert ours
    findings.record_difference(job, theirs, differences(ours, theirs), images)


def is_reported(job: Job) -> bool:
    return Job.objects.get(pk=job.pk).cheat_reported_at is not None


@pytest.mark.parametrize("is_text", [True, False])
def test_a_report_in_either_encoding_is_recorded_once_with_its_evidence(is_text: bool) -> None:
    job, proof = completed("false\n", env={"KEY": "secret"}), trusted(env={"KEY": "secret"})
    made = report(job, proof, details={"why": "mismatch"}, is_text=is_text)
    findings.record_cheat_report(made, settings())
    finding = CheatFinding.objects.get()
    assert (finding.job_uuid, finding.trusted_job_uuid) == (job.pk, proof.pk)
    assert (finding.source, finding.verdict, finding.counts) == ("user", "unproved", False)
    assert (finding.miner, finding.signatory) == ("5Miner", USER.ss58_address)
    [difference] = finding.listed_differences
    assert difference["what"] == "stdout"
    assert "'false" in difference["where"]
    assert "'hi" in difference["where"]
    assert finding.report == made.encode()
    assert "false" in finding.miner_result
    assert "hi" in finding.trusted_result
    assert "KEY" in finding.request
    assert "secret" not in finding.request
    first = Job.objects.get(pk=job.pk).cheat_reported_at
    assert first
    told(job, proof, details="again")
    assert Job.objects.get(pk=job.pk).cheat_reported_at == first
    assert CheatFinding.objects.get().report == made.encode()


@pytest.mark.parametrize(
    ("state", "kind", "signer", "changes"),
    [
        (JobState.FAILED, Job.Kind.ORGANIC, USER, {}),
        (JobState.COMPLETED, Job.Kind.ADMIN, USER, {}),
        (JobState.COMPLETED, Job.Kind.ORGANIC, STRANGER, {}),
        (JobState.COMPLETED, Job.Kind.ORGANIC, USER, {"details": "changed on its way"}),
        (JobState.COMPLETED, Job.Kind.ORGANIC, USER, {"signature": None}),
    ],
)
def test_a_report_of_anybody_else_or_of_no_result_is_not_recorded(
    state: JobState, kind: Job.Kind, signer: Any, changes: dict[str, Any]
) -> None:
    job = completed("false\n", state=state, kind=kind)
    made = report(job, trusted(), signer).model_copy(update=changes)
    findings.record_cheat_report(made, settings())
    assert not is_reported(job)
    assert not CheatFinding.objects.exists()


@pytest.mark.parametrize(
    ("stdout", "of_trusted", "verdict"),
    [
        ("hi\n", {}, V.DISPROVED),
        # A clock would do that.
        ("false\n", {}, V.UNPROVED),
        ("false\n", {"state": JobState.FAILED}, V.UNPROVED),
        ("false\n", {"on_trusted_miner": False}, V.UNPROVED),
        ("false\n", {"signer": STRANGER}, V.UNPROVED),
        ("false\n", {"args": ["echo", "ha"]}, V.UNPROVED),
    ],
)
def test_a_report_that_proves_nothing_takes_no_points(
    stdout: str, of_trusted: dict[str, Any], verdict: CheatVerdict
) -> None:
    job = completed(stdout)
    told(job, trusted(**of_trusted))
    finding = CheatFinding.objects.get()
    assert (finding.verdict, finding.counts, bool(finding.reason)) == (verdict, False, True)
    assert is_reported(job)
    assert findings.cheated_jobs(timezone.now() - timedelta(hours=1)) == set()


def test_a_report_that_names_no_known_trusted_job_proves_nothing() -> None:
    job = completed("false\n")
    told(job, str(uuid4()))
    assert CheatFinding.objects.get().verdict == V.UNPROVED


def test_a_user_is_believed_about_uploads_which_only_the_user_sees() -> None:
    upload = ZipPut(url="http://bucket/a")
    job = completed(output_upload=upload)
    told(job, trusted(output_upload=upload))
    assert CheatFinding.objects.get().verdict == V.BELIEVED
    assert findings.cheated_jobs(timezone.now() - timedelta(hours=1)) == {job.pk}
    assert findings.cheated_jobs(timezone.now() + timedelta(hours=1)) == set()


def test_a_difference_that_this_validator_found_replaces_a_claim_that_proved_nothing() -> None:
    job = completed("false\n", volume=InlineVolume(contents="UEsFBg=="))
    told(job, str(uuid4()))
    claimed = CheatFinding.objects.get()
    proved(job)
    finding = CheatFinding.objects.get()
    assert (finding.source, finding.verdict) == ("cross_validation", "proved")
    assert finding.trusted_job_uuid != claimed.trusted_job_uuid
    assert finding.report == claimed.report != ""
    assert "UEsFBg" not in finding.request


DECLARED = {"env": {DETERMINISTIC: "1"}}


@pytest.mark.parametrize(
    ("fields", "changes", "reason"),
    [
        (DECLARED, {}, "repeats the job and decides"),
        ({}, {"cross_validation_images": ["computehorde/*"]}, "repeats the job and decides"),
        ({}, {}, "not declared"),
        (DECLARED | {"volume": ZipUrlVolume(contents="http://a/b?1")}, {}, "inputs"),
        (DECLARED, {"trusted_miner_address": ""}, "no trusted miner"),
    ],
)
def test_results_that_differ_but_have_to_be_equal_are_left_to_cross_validation(
    fields: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    job = completed("false\n", **fields)
    findings.record_cheat_report(report(job, trusted(**fields)), settings(**changes))
    finding = CheatFinding.objects.get()
    assert (finding.verdict, reason in finding.reason) == (V.UNPROVED, True), finding.reason
    assert CrossValidation.objects.filter(pk=job.pk).exists() is ("decides" in reason)


def test_the_reports_of_one_user_fill_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MAX_WAITING_REPORTS", 2)
    for number in range(4):
        told(completed(f"{number}\n", **DECLARED), trusted(**DECLARED))
    assert CrossValidation.objects.count() == 2
    assert CheatFinding.objects.filter(reason__contains="too many jobs wait").count() == 2


def test_a_report_about_what_only_the_miner_left_out_is_not_disproved() -> None:
    job = completed(finished={"left_out": (LeftOut(name="", why="too long"),)})
    told(job, trusted(finished={"artifacts": {"/a": "AA=="}}))
    finding = CheatFinding.objects.get()
    assert (finding.verdict, finding.reason) == (V.UNPROVED, "the miner alone left out /a")


def test_an_equal_trusted_run_disproves_what_was_only_claimed() -> None:
    told(completed("false\n", **DECLARED), trusted(**DECLARED))
    believed = completed(output_upload=ZipPut(url="http://bucket/a"))
    told(believed, trusted(output_upload=ZipPut(url="http://bucket/a")))
    for finding in CheatFinding.objects.all():
        findings.record_same(finding.pk)
    verdicts = set(CheatFinding.objects.values_list("verdict", flat=True))
    assert verdicts == {V.DISPROVED, V.BELIEVED}


def test_a_miner_is_distrusted_for_a_while_after_a_false_result_of_a_listed_image() -> None:
    hour = timedelta(hours=1)
    job = completed("false\n")
    proved(job, ["computehorde/*"])
    [(miner, left)] = findings.distrusted_miners(hour).items()
    assert miner == "5Miner"
    assert 3000 < left <= 3600
    assert findings.distrusted_miners(timedelta(0)) == {}


def test_a_user_s_declaration_alone_excludes_no_miner() -> None:
    for _ in range(2):
        proved(completed("false\n", **DECLARED))
    assert CheatFinding.objects.filter(verdict=V.PROVED).count() == 2
    assert findings.distrusted_miners(timedelta(hours=1)) == {}


def test_users_of_two_signers_exclude_a_miner_while_both_jobs_ended_lately() -> None:
    hour = timedelta(hours=1)
    upload = {"output_upload": ZipPut(url="http://bucket/a")}
    for signer in (USER, STRANGER):
        assert findings.distrusted_miners(hour) == {}
        job = completed(signer=signer, **upload)
        told(job, trusted(signer=signer, **upload), signer=signer)
    ended = timezone.now() - timedelta(minutes=45)
    CheatFinding.objects.filter(pk=job.pk).update(job_ended_at=ended)
    [left] = findings.distrusted_miners(hour).values()
    assert 600 < left <= 900


def test_a_report_of_a_job_that_ended_long_ago_excludes_no_miner() -> None:
    job = completed("false\n")
    Job.objects.filter(pk=job.pk).update(state_since=timezone.now() - timedelta(hours=2))
    proved(Job.objects.get(pk=job.pk), ["computehorde/*"])
    assert findings.distrusted_miners(timedelta(hours=1)) == {}


def test_the_evidence_has_a_bound_however_long_report_and_results_are() -> None:
    job, proof = completed("a" * 10**6), trusted("b" * 10**6)
    told(job, proof, details="x" * 10**6)
    finding = CheatFinding.objects.get()
    texts = (finding.report, finding.miner_result, finding.trusted_result, finding.differences)
    assert all(0 < len(text) < 2**16 for text in texts)
    assert "left out" in finding.report


def test_operators_see_the_evidence(admin_client: Client) -> None:
    job, proof = completed("<false>\n"), trusted()
    told(job, proof)
    page = admin_client.get(f"/admin/trusted_miner/cheatfinding/{job.pk}/change/").content.decode()
    for shown in (str(proof.pk), "5Miner", "&lt;false&gt;", f"/admin/jobs/job/{job.pk}/change/"):
        assert shown in page
    listed = admin_client.get("/admin/trusted_miner/cheatfinding/", {"q": str(job.pk)})
    assert str(job.pk) in listed.content.decode()
    assert admin_client.get("/admin/trusted_miner/crossvalidation/").status_code == 200
