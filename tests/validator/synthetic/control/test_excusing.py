"""Which faults explain which ends of attempts, and what an excuse changes."""

from datetime import timedelta

import pytest

from compute_horde.faults import Cause, Culprit
from compute_horde.protocol.job import ExecutionDone, HordeFailed, JobFailed
from compute_horde.protocol.message import JobMessage
from compute_horde.uploads import MultiUpload, ZipPut
from compute_horde.vocabulary import FailureReason, HordeReason, JobState, Party, Stage
from compute_horde.volumes import InlineVolume, MultiVolume, SingleFileVolume, ZipUrlVolume
from tests.validator.synthetic.control.test_faults import at
from tests.validator.synthetic.making import attempt
from validator.jobs.store import Event
from validator.synthetic.attempts import Attempt
from validator.synthetic.control.excusing import (
    ReachedMiner,
    excuse,
    explains,
    host_of,
    input_urls,
    reached,
    registry_of,
    upload_urls,
)
from validator.synthetic.control.faults import ControlFault, FaultKind
from validator.synthetic.outcomes import Outcome

INPUT = SingleFileVolume(url="https://bucket.example/in?X-Amz-Signature=1", relative_path="in")
UPLOAD = ZipPut(url="https://results.example/out")
EVERY = dict.fromkeys(FaultKind, "")


def ended(outcome: Outcome, message: JobMessage | None = None, **fields: object) -> Attempt:
    """An attempt that ended between 5 and 10; without a message, the miner fell silent."""
    one = attempt("miner", **fields)
    one.outcome, one.blamed, one.reason = outcome, Culprit.MINER, "why"
    silence = HordeFailed(
        job_uuid=one.request.uuid,
        reported_by=Party.VALIDATOR,
        reason=HordeReason.FINAL_RESPONSE_TIMED_OUT,
        message="late",
    )
    sent_by = Party.MINER if message else Party.VALIDATOR
    one.events = [Event(JobState.HORDE_FAILED, message or silence, sent_by)]
    one.times.offered, one.times.finished = at(5), at(10)
    return one


def job_failed(reason: FailureReason, stage: Stage) -> JobFailed:
    uuid = "00000000-0000-4000-8000-000000000000"
    return JobFailed(job_uuid=uuid, reason=reason, stage=stage, message="no")


def fault(kind: FaultKind, target: str = "", since: float = 0, until: float = 60) -> ControlFault:
    return ControlFault(kind, target, at(since), at(until), "refused")


def explained(one: Attempt, target: str = "") -> set[FaultKind]:
    """The kinds of faults that explain it."""
    return {kind for kind in FaultKind if explains(fault(kind, target), one, None)}


@pytest.mark.parametrize(
    ("outcome", "kinds"),
    [
        (Outcome.UNREACHABLE, {FaultKind.UPLINK}),
        (Outcome.NOT_ACCEPTED, {FaultKind.UPLINK}),
        (Outcome.NOT_READY, {FaultKind.UPLINK, FaultKind.REGISTRY}),
        (Outcome.TOO_LATE, {FaultKind.UPLINK, FaultKind.LOAD}),
        *(
            (one, set())
            for one in sorted(
                set(Outcome) - {"unreachable", "not_accepted", "not_ready", "too_late"}
            )
        ),
    ],
)
def test_what_a_silence_may_come_from(outcome: Outcome, kinds: set[FaultKind]) -> None:
    assert explained(ended(outcome), "docker.io") == kinds


@pytest.mark.parametrize("outcome", [Outcome.TOO_LATE, Outcome.JOB_FAILED])
def test_what_a_miner_reports_itself_is_not_silence(outcome: Outcome) -> None:
    message = job_failed(FailureReason.TIMEOUT, Stage.EXECUTION)
    assert explained(ended(outcome, message), "docker.io") == set()


@pytest.mark.parametrize(
    ("message", "is_pull"),
    [
        (job_failed(FailureReason.DOWNLOAD_FAILED, Stage.EXECUTOR_STARTUP), True),
        (job_failed(FailureReason.TIMEOUT, Stage.EXECUTOR_STARTUP), True),
        (job_failed(FailureReason.DOWNLOAD_FAILED, Stage.VOLUME_DOWNLOAD), False),
        (job_failed(FailureReason.NONZERO_RETURN_CODE, Stage.EXECUTOR_STARTUP), False),
    ],
)
def test_a_registry_explains_images_that_could_not_be_pulled(
    message: JobFailed, is_pull: bool
) -> None:
    one = ended(Outcome.JOB_FAILED, message)
    assert (FaultKind.REGISTRY in explained(one, "docker.io")) is is_pull
    assert explained(one, "ghcr.io") == set()


def test_a_registry_explains_what_the_miner_says_of_it() -> None:
    failed = HordeFailed(
        job_uuid="00000000-0000-4000-8000-000000000000",
        reported_by=Party.MINER,
        reason=HordeReason.GENERIC_ERROR,
        message="lost",
        context=Cause.REGISTRY.context,
    )
    assert explained(ended(Outcome.MINER_FAILED, failed), "docker.io") == {FaultKind.REGISTRY}
    other = failed.model_copy(update={"context": None})
    assert explained(ended(Outcome.MINER_FAILED, other), "docker.io") == set()


@pytest.mark.parametrize(
    ("reason", "stage", "hosts"),
    [
        (FailureReason.DOWNLOAD_FAILED, Stage.VOLUME_DOWNLOAD, {"bucket.example"}),
        (FailureReason.TIMEOUT, Stage.VOLUME_DOWNLOAD, {"bucket.example"}),
        (FailureReason.UPLOAD_FAILED, Stage.RESULT_UPLOAD, {"results.example"}),
        (FailureReason.TIMEOUT, Stage.RESULT_UPLOAD, {"results.example"}),
        (FailureReason.TIMEOUT, Stage.EXECUTION, set()),
        (FailureReason.DOWNLOAD_FAILED, Stage.EXECUTOR_STARTUP, set()),
    ],
)
def test_storage_explains_what_is_fetched_from_it_or_stored_there(
    reason: FailureReason, stage: Stage, hosts: set[str]
) -> None:
    one = ended(Outcome.JOB_FAILED, job_failed(reason, stage), volume=INPUT, output_upload=UPLOAD)
    found = {
        host
        for host in ("bucket.example", "results.example", "other.example")
        if FaultKind.BUCKET in explained(one, host)
    }
    assert found == hosts


def test_storage_explains_uploaded_results_that_the_validator_could_not_read() -> None:
    one = ended(Outcome.VALIDATOR_FAILED, volume=INPUT, output_upload=UPLOAD)
    assert explained(one, "results.example") == set()
    one.is_unverified = True
    assert explained(one, "results.example") == {FaultKind.BUCKET}
    assert explained(one, "bucket.example") == set()
    # They are read when the attempt is over.
    later = fault(FaultKind.BUCKET, "results.example", since=20)
    assert excuse([one], [later], {}, at(0)) == 1
    assert (one.points, one.blamed) == (1, Culprit.NOBODY)


def test_storage_explains_a_miner_that_is_late_with_its_inputs_or_its_results() -> None:
    given = {"volume": INPUT, "output_upload": UPLOAD}
    waiting, working, storing = (ended(Outcome.TOO_LATE, **given) for _ in range(3))
    working.times.started = storing.times.started = at(7)
    done = ExecutionDone(job_uuid=storing.request.uuid)
    storing.events.insert(0, Event(JobState.EXECUTION_DONE, done, Party.MINER))
    found = [
        [FaultKind.BUCKET in explained(one, host) for one in (waiting, working, storing)]
        for host in ("bucket.example", "results.example")
    ]
    assert found == [[True, False, False], [False, False, True]]


@pytest.mark.parametrize(
    ("reported", "is_explained"), [(None, False), (-1, True), (-3601, False), (1, False)]
)
def test_the_chain_explains_a_miner_that_may_have_moved(
    reported: float | None, is_explained: bool
) -> None:
    moment = None if reported is None else at(reported)
    miner = ReachedMiner("miner", "10.0.0.1", "", moment)
    one = ended(Outcome.UNREACHABLE)
    assert explains(fault(FaultKind.CHAIN, until=120), one, miner) is is_explained
    assert not explains(fault(FaultKind.CHAIN, until=119), one, miner)


def test_only_faults_at_the_time_of_an_attempt_excuse_it() -> None:
    late, early = (fault(FaultKind.UPLINK, "probes", *span) for span in ((11, 20), (0, 4)))
    one = ended(Outcome.NOT_ACCEPTED)
    assert excuse([one], [late, early], {}, at(0)) == 0
    assert (one.points, one.blamed, one.reason) == (0, Culprit.MINER, "why")
    assert excuse([one], [fault(FaultKind.UPLINK, "probes", 10, 20)], {}, at(0)) == 1
    assert (one.points, one.blamed, one.control_fault) == (1, Culprit.NOBODY, "uplink")
    assert one.reason == "the validator's own network failed (probes: refused): why"


def test_an_attempt_without_an_offer_began_with_the_batch() -> None:
    one = ended(Outcome.UNREACHABLE)
    one.times.offered = None
    early = fault(FaultKind.UPLINK, since=0, until=2)
    assert excuse([one], [early], {}, at(3)) == 0
    assert excuse([one], [early], {}, at(2)) == 1


def test_what_receipts_excuse_needs_no_other_excuse() -> None:
    one = ended(Outcome.TOO_LATE)
    one.excused = True
    assert explained(one) == set()


def test_miners_that_were_reached_before_count_for_the_uplink() -> None:
    silent = ended(Outcome.NOT_ACCEPTED)
    lately = ReachedMiner("miner", "10.0.0.1", "owner", at(0))
    (found,) = reached([silent], {"miner": lately}, at(0), at(0))
    assert (found.host, found.coldkey, found.silent) == ("10.0.0.1", "owner", (at(5), at(10)))
    long_ago = ReachedMiner("miner", "10.0.0.1", "owner", at(0) - timedelta(hours=2))
    assert reached([silent], {"miner": long_ago}, at(0), at(0)) == []
    answered = ended(Outcome.JOB_FAILED, job_failed(FailureReason.UNKNOWN, Stage.EXECUTION))
    (found,) = reached([silent, answered], {"miner": long_ago}, at(0), at(0))
    assert found.silent is None
    assert reached([silent], {}, at(0), at(0)) == []


def test_the_hosts_that_a_job_depends_on() -> None:
    volumes = [
        INPUT,
        ZipUrlVolume(contents="http://zips.example:9000/a"),
        InlineVolume(contents=""),
    ]
    uploads = MultiUpload(uploads=[], system_output=UPLOAD)
    job = attempt("m", volume=MultiVolume(volumes=volumes), output_upload=uploads).prepared
    assert list(map(host_of, input_urls(job))) == ["bucket.example", "zips.example:9000"]
    assert list(map(host_of, upload_urls(job))) == ["results.example"]
    assert upload_urls(attempt("m").prepared) == input_urls(attempt("m").prepared) == []
    assert host_of("http://[") == ""
    assert registry_of("ghcr.io/a/b:1") == "ghcr.io"
    assert registry_of("//") == ""
