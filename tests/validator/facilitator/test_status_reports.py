"""The statuses built for the facilitator."""

import base64

import pytest

from compute_horde.protocol import left_out_notes
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import (
    HordeFailed,
    JobAccepted,
    JobDeclined,
    JobFailed,
    JobFinished,
    StreamingReady,
)
from compute_horde.protocol.left_out import LeftOut
from compute_horde.protocol.message import REPORT_FRAME_BYTES
from compute_horde.vocabulary import (
    Extension,
    FailureReason,
    HordeReason,
    JobState,
    Party,
    RejectionReason,
    Stage,
)
from validator.facilitator import status_reports

JOB = "00000000-0000-0000-0000-000000000001"
MEBIBYTE = "x" * 2**20


def metadata(state: JobState, message, sent_by: Party = Party.MINER) -> dict:
    report = status_reports.status(JOB, state, message, sent_by)
    assert (report.uuid, report.status) == (JOB, state)
    return report.metadata.model_dump(exclude_none=True) if report.metadata else {}


def test_states_on_the_way_have_no_details() -> None:
    assert metadata(JobState.RECEIVED, None) == {}
    assert metadata(JobState.ACCEPTED, JobAccepted(job_uuid=JOB)) == {}


def test_a_result_is_copied() -> None:
    done = JobFinished(
        job_uuid=JOB,
        docker_process_stdout="out",
        docker_process_stderr="err",
        artifacts={"/a": "YQ=="},
        upload_results={"b": "{}"},
    )
    assert metadata(JobState.COMPLETED, done) == {
        "miner_response": {
            "docker_process_stdout": "out",
            "docker_process_stderr": "err",
            "artifacts": {"/a": "YQ=="},
            "upload_results": {"b": "{}"},
        }
    }


def test_a_cancelled_job_is_a_failure_to_a_facilitator_that_announced_nothing() -> None:
    ended = JobCancelled(
        job_uuid=JOB,
        reported_by=Party.EXECUTOR,
        message="The job was cancelled",
        stage=Stage.EXECUTION,
        docker_process_stdout="so far",
    )
    details = {
        "reason": "cancelled",
        "stage": "execution",
        "message": "The job was cancelled",
        "docker_process_stdout": "so far",
    }
    assert metadata(JobState.CANCELLED, ended) == {"job_failure_details": details}
    report = status_reports.status(JOB, JobState.CANCELLED, ended, Party.MINER)
    assert status_reports.compatible(report, frozenset({Extension.CANCEL})) is report
    plain = status_reports.compatible(report, frozenset({Extension.OUTPUT}))
    assert plain.status is JobState.FAILED
    assert plain.metadata
    dumped = plain.metadata.model_dump(exclude_none=True)
    assert dumped == {"job_failure_details": details | {"reason": "unknown"}}
    failed = status_reports.status(JOB, JobState.ACCEPTED, None, Party.MINER)
    assert status_reports.compatible(failed, frozenset()) is failed


@pytest.mark.parametrize("sent_by", [Party.MINER, Party.VALIDATOR])
def test_a_rejection_names_who_declined(sent_by: Party) -> None:
    declined = JobDeclined(job_uuid=JOB, reason=RejectionReason.BUSY, message="no room")
    assert metadata(JobState.REJECTED, declined, sent_by) == {
        "job_rejection_details": {
            "rejected_by": sent_by,
            "reason": RejectionReason.BUSY,
            "message": "no room",
        }
    }


def test_failures_are_copied_whole() -> None:
    failed = JobFailed(
        job_uuid=JOB,
        message="exit",
        reason=FailureReason.NONZERO_RETURN_CODE,
        stage=Stage.EXECUTION,
        docker_process_exit_status=3,
        docker_process_stdout="o",
        docker_process_stderr="e",
        context={"a": 1},
    )
    assert metadata(JobState.FAILED, failed) == {
        "job_failure_details": {
            "reason": FailureReason.NONZERO_RETURN_CODE,
            "stage": Stage.EXECUTION,
            "message": "exit",
            "context": {"a": 1},
            "docker_process_exit_status": 3,
            "docker_process_stdout": "o",
            "docker_process_stderr": "e",
        }
    }
    lost = HordeFailed(
        job_uuid=JOB,
        reported_by=Party.EXECUTOR,
        reason=HordeReason.SECURITY_CHECK_FAILED,
        message="bad",
    )
    assert metadata(JobState.HORDE_FAILED, lost) == {
        "horde_failure_details": {
            "reported_by": Party.EXECUTOR,
            "reason": HordeReason.SECURITY_CHECK_FAILED,
            "message": "bad",
        }
    }


def test_streaming_readiness_tells_where() -> None:
    ready = StreamingReady(job_uuid=JOB, public_key="pem", ip="1.2.3.4", port=5)
    assert metadata(JobState.STREAMING_READY, ready) == {
        "streaming_details": {
            "streaming_server_cert": "pem",
            "streaming_server_address": "1.2.3.4",
            "streaming_server_port": 5,
        }
    }


def size(report) -> int:
    return len(report.encode().encode())


def test_of_artifacts_too_large_for_the_facilitator_those_that_fit_are_kept() -> None:
    done = JobFinished(
        job_uuid=JOB,
        docker_process_stdout="out",
        docker_process_stderr="err",
        artifacts={f"/{n:02}": MEBIBYTE for n in range(17)} | {"/small": "YQ=="},
        left_out=[LeftOut(name="/before", size=1, why="w")],
    )
    report = status_reports.status(JOB, JobState.COMPLETED, done, Party.MINER)
    response = report.metadata.miner_response
    assert size(report) <= REPORT_FRAME_BYTES
    assert list(response.artifacts) == [f"/{n:02}" for n in range(14)] + ["/small"]
    assert response.docker_process_stdout == "out"
    assert response.docker_process_stderr == "err" + left_out_notes.ARTIFACTS_LEFT_OUT.format(3, 18)
    assert [(one.name, one.size) for one in response.left_out] == [
        ("/before", 1),
        ("/14", len(MEBIBYTE) * 3 // 4),
        ("/15", len(MEBIBYTE) * 3 // 4),
        ("/16", len(MEBIBYTE) * 3 // 4),
    ]


def test_of_very_many_artifacts_that_do_not_fit_a_bounded_list_is_told() -> None:
    done = JobFinished(
        job_uuid=JOB,
        docker_process_stdout="",
        docker_process_stderr="",
        artifacts={f"/{'x' * 5000}{n}": "A" * 10_000 for n in range(2000)},
    )
    report = status_reports.status(JOB, JobState.COMPLETED, done, Party.MINER)
    assert size(report) <= REPORT_FRAME_BYTES
    left_out = report.metadata.miner_response.left_out
    assert len(left_out) == 101
    assert "more did not fit" in left_out[-1].why
    assert report.metadata.miner_response.artifacts


def test_a_result_that_is_too_large_without_artifacts_says_what_it_lacks() -> None:
    done = JobFinished(
        job_uuid=JOB,
        docker_process_stdout=MEBIBYTE * 17,
        docker_process_stderr="",
        artifacts={"/a": "YQ=="},
    )
    response = status_reports.status(
        JOB, JobState.COMPLETED, done, Party.MINER
    ).metadata.miner_response
    assert response.truncated == {"stdout": 17 * 2**20}
    assert [one.name for one in response.left_out] == ["/a"]


def test_bytes_that_a_report_has_no_room_for_are_named() -> None:
    done = JobFinished(
        job_uuid=JOB,
        docker_process_stdout="",
        docker_process_stderr=MEBIBYTE * 17,
        raw_output={"stdout": base64.b64encode(b"\xff" * 1000).decode()},
    )
    response = status_reports.status(
        JOB, JobState.COMPLETED, done, Party.MINER
    ).metadata.miner_response
    assert response.truncated == {"stderr": 17 * 2**20, "stdout": 1000}
    assert response.raw_output == {}


def test_artifacts_that_just_fit_are_kept() -> None:
    done = JobFinished(
        job_uuid=JOB,
        docker_process_stdout="out",
        docker_process_stderr="",
        artifacts={f"/{n}": MEBIBYTE for n in range(15)},
    )
    report = status_reports.status(JOB, JobState.COMPLETED, done, Party.MINER)
    assert report.metadata.miner_response.artifacts == done.artifacts


@pytest.mark.parametrize("character", ["x", "\0", "\u20ac"])
def test_output_too_large_for_the_facilitator_is_cut(character: str) -> None:
    long = character * (17 * 2**20)
    done = JobFinished(job_uuid=JOB, docker_process_stdout=long, docker_process_stderr="e")
    failed = JobFailed(job_uuid=JOB, docker_process_stdout=long)
    for state, message in ((JobState.COMPLETED, done), (JobState.FAILED, failed)):
        report = status_reports.status(JOB, state, message, Party.MINER)
        assert size(report) <= REPORT_FRAME_BYTES
        details = report.metadata.miner_response or report.metadata.job_failure_details
        assert details.docker_process_stdout.endswith(left_out_notes.OUTPUT_TRUNCATED)


LONG = "x" * (17 * 2**20)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (JobState.REJECTED, JobDeclined(job_uuid=JOB, message=LONG, context={"a": LONG})),
        (JobState.FAILED, JobFailed(job_uuid=JOB, message=LONG, context={"a": LONG})),
        (
            JobState.HORDE_FAILED,
            HordeFailed(
                job_uuid=JOB,
                reported_by=Party.MINER,
                reason=HordeReason.GENERIC_ERROR,
                message=LONG,
                context={"a": LONG},
            ),
        ),
        (
            JobState.STREAMING_READY,
            StreamingReady(job_uuid=JOB, public_key=LONG, ip="192.0.2.1", port=1),
        ),
    ],
)
def test_nothing_a_miner_says_makes_a_report_that_the_facilitator_cannot_hear(
    state: JobState, message
) -> None:
    report = status_reports.status(JOB, state, message, Party.MINER)
    assert size(report) <= REPORT_FRAME_BYTES
    assert report.status is state
