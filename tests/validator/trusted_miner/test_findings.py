"""Claims that a result is false: who may make them, what they prove, and what is kept."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone

from compute_horde.uploads import ZipPut
from compute_horde.vocabulary import JobState
from compute_horde.volumes import InlineVolume
from tests.peers.keys import STRANGER, USER
from tests.validator.trusted_miner.ended_jobs import completed, printed, report
from validator.jobs.models import Job
from validator.trusted_miner import findings
from validator.trusted_miner.models import CheatFinding
from validator.trusted_miner.rules import CheatVerdict, differences

pytestmark = pytest.mark.django_db

V = CheatVerdict


def trusted(stdout: str = "hi\n", **fields: Any) -> Job:
    return completed(stdout, **{"on_trusted_miner": True} | fields)


def is_reported(job: Job) -> bool:
    return Job.objects.get(pk=job.pk).cheat_reported_at is not None


@pytest.mark.parametrize("is_text", [True, False])
def test_a_report_in_either_encoding_is_recorded_once_with_its_evidence(is_text: bool) -> None:
    job, proof = completed("false\n", env={"KEY": "secret"}), trusted(env={"KEY": "secret"})
    made = report(job, proof, details={"why": "mismatch"}, is_text=is_text)
    findings.record_cheat_report(made)
    finding = CheatFinding.objects.get()
    assert (finding.job_uuid, finding.trusted_job_uuid) == (job.pk, proof.pk)
    assert (finding.source, finding.verdict, finding.counts) == ("user", "proved", True)
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
    findings.record_cheat_report(report(job, proof, details="again"))
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
    findings.record_cheat_report(made)
    assert not is_reported(job)
    assert not CheatFinding.objects.exists()


@pytest.mark.parametrize(
    ("stdout", "of_trusted", "verdict"),
    [
        ("hi\n", {}, V.DISPROVED),
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
    findings.record_cheat_report(report(job, trusted(**of_trusted)))
    finding = CheatFinding.objects.get()
    assert (finding.verdict, finding.counts, bool(finding.reason)) == (verdict, False, True)
    assert is_reported(job)
    assert findings.cheated_jobs(timezone.now() - timedelta(hours=1)) == set()


def test_a_report_that_names_no_known_trusted_job_proves_nothing() -> None:
    job = completed("false\n")
    findings.record_cheat_report(report(job, str(uuid4())))
    assert CheatFinding.objects.get().verdict == V.UNPROVED


def test_a_user_is_believed_about_uploads_which_only_the_user_sees() -> None:
    upload = ZipPut(url="http://bucket/a")
    job = completed(output_upload=upload)
    findings.record_cheat_report(report(job, trusted(output_upload=upload)))
    assert CheatFinding.objects.get().verdict == V.BELIEVED
    assert findings.cheated_jobs(timezone.now() - timedelta(hours=1)) == {job.pk}
    assert findings.cheated_jobs(timezone.now() + timedelta(hours=1)) == set()


def test_a_difference_that_this_validator_found_replaces_a_claim_that_proved_nothing() -> None:
    job = completed("false\n", volume=InlineVolume(contents="UEsFBg=="))
    findings.record_cheat_report(report(job, str(uuid4())))
    theirs = printed(str(uuid4()), "hi\n")
    ours = findings.result_of(job.pk)
    assert ours
    findings.record_difference(job, theirs, differences(ours, theirs))
    finding = CheatFinding.objects.get()
    assert (finding.source, finding.verdict) == ("cross_validation", "proved")
    assert finding.trusted_job_uuid == UUID(theirs.job_uuid)
    assert "UEsFBg" not in finding.request


def test_a_miner_is_distrusted_for_a_while_after_its_newest_false_result() -> None:
    hour = timedelta(hours=1)
    for stdout in ("false\n", "hi\n"):
        findings.record_cheat_report(report(completed(stdout), trusted()))
    [(miner, left)] = findings.distrusted_miners(hour).items()
    assert miner == "5Miner"
    assert 3000 < left <= 3600
    CheatFinding.objects.update(created_at=timezone.now() - hour)
    assert findings.distrusted_miners(hour) == {}
    assert findings.distrusted_miners(timedelta(0)) == {}


def test_the_evidence_has_a_bound_however_long_report_and_results_are() -> None:
    job, proof = completed("a" * 10**6), trusted("b" * 10**6)
    findings.record_cheat_report(report(job, proof, details="x" * 10**6))
    finding = CheatFinding.objects.get()
    texts = (finding.report, finding.miner_result, finding.trusted_result, finding.differences)
    assert all(0 < len(text) < 2**16 for text in texts)
    assert "left out" in finding.report


def test_operators_see_the_evidence(admin_client: Client) -> None:
    job, proof = completed("<false>\n"), trusted()
    findings.record_cheat_report(report(job, proof))
    page = admin_client.get(f"/admin/trusted_miner/cheatfinding/{job.pk}/change/").content.decode()
    for shown in (str(proof.pk), "5Miner", "&lt;false&gt;", f"/admin/jobs/job/{job.pk}/change/"):
        assert shown in page
    listed = admin_client.get("/admin/trusted_miner/cheatfinding/", {"q": str(job.pk)})
    assert str(job.pk) in listed.content.decode()
    assert admin_client.get("/admin/trusted_miner/crossvalidation/").status_code == 200
