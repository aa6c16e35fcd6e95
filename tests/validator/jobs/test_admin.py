"""An operator creates a job in the admin and follows it."""

import base64

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from compute_horde.lifecycle import CLAIMS
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    JobAccepted,
    JobDeclined,
    JobFailed,
    JobFinished,
    JobRequested,
    VolumesReady,
)
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import FailureReason, JobState, Party, RejectionReason, Stage
from tests.peers.keys import MINER
from validator.jobs import store
from validator.jobs.models import Job
from validator.jobs.store import Event, Transition
from validator.network.models import Neuron

pytestmark = pytest.mark.django_db

ADD = "admin:jobs_job_add"
ORDER = {
    "docker_image": "computehorde/busybox",
    "args": "sh -c 'echo $A'",
    "env": "A=b c\nD=e=f\n",
    "executor_class": "always_on.test",
    "wanted_miner": "",
    "artifacts_dir": "/artifacts",
    "download_time_limit": "1",
    "execution_time_limit": "2",
    "upload_time_limit": "3",
}


def ordered(client: Client, **fields: str) -> Job:
    answer = client.post(reverse(ADD), ORDER | fields)
    job = Job.objects.get()
    assert answer.url == reverse("admin:jobs_job_change", args=[job.pk])
    return job


def page(client: Client, job: Job) -> str:
    return client.get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()


def test_an_operator_cancels_a_job_with_a_button(admin_client: Client, client: Client) -> None:
    job = ordered(admin_client)
    url = reverse("admin:jobs_job_cancel", args=[job.pk])
    assert "Cancel this job" in page(admin_client, job)
    assert admin_client.get(url).status_code == 405
    client.post(url)
    job.refresh_from_db()
    assert job.cancel_asked_at is None
    assert admin_client.post(url).url == reverse("admin:jobs_job_change", args=[job.pk])
    job.refresh_from_db()
    assert job.cancel_asked_at
    text = page(admin_client, job)
    assert "Being cancelled" in text
    assert "Cancel this job" not in text


def test_a_cancelled_job_shows_what_it_printed(admin_client: Client) -> None:
    job = ordered(admin_client)
    ended = JobCancelled(
        job_uuid=str(job.pk),
        reported_by=Party.EXECUTOR,
        message="The job was cancelled",
        docker_process_stdout="so far",
    )
    record(job, ended, states=(JobState.CANCELLED,))
    text = page(admin_client, job)
    assert "so far" in text
    assert "Cancel this job" not in text


def record(job: Job, *messages: JobMessage, states: tuple[JobState, ...]) -> None:
    events = [Event(s, m, Party.MINER) for s, m in zip(states, messages, strict=True)]
    assert store.record(
        Transition(str(job.pk), JobState.RECEIVED, MINER.ss58_address, None, events=events)
    )


def test_an_order_becomes_a_job_for_the_listener(
    admin_client: Client, django_assert_num_queries
) -> None:
    job = ordered(admin_client)
    assert (job.kind, job.state, job.wanted_miner) == ("admin", "received", "")
    assert job.request == JobRequested(
        uuid=str(job.pk),
        executor_class="always_on.test",
        docker_image="computehorde/busybox",
        args=["sh", "-c", "echo $A"],
        env={"A": "b c", "D": "e=f"},
        artifacts_dir="/artifacts",
        download_time_limit=1,
        execution_time_limit=2,
        upload_time_limit=3,
        streaming_start_time_limit=0,
    )


def test_the_form_offers_the_miners_that_serve(admin_client: Client) -> None:
    common = {"coldkey": "c", "ip": "1.2.3.4", "seen_at": timezone.now()}
    Neuron.objects.create(hotkey="serving", uid=1, port=8000, **common)
    Neuron.objects.create(hotkey="silent", uid=2, port=0, **common)
    form = admin_client.get(reverse(ADD)).content.decode()
    assert "serving (1.2.3.4:8000)" in form
    assert "silent" not in form
    assert ordered(admin_client, wanted_miner="serving").wanted_miner == "serving"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"args": "echo 'open"}, "cannot be split"),
        ({"env": "NOVALUE"}, "not KEY=VALUE"),
        ({"executor_class": "none"}, "not one of the available choices"),
        ({"wanted_miner": "nobody"}, "not one of the available choices"),
        ({"docker_image": ""}, "required"),
        ({"execution_time_limit": "-1"}, "greater than or equal to 0"),
        ({"on_trusted_miner": "on"}, "no trusted miner"),
    ],
)
def test_a_wrong_order_is_explained_and_not_taken(
    admin_client: Client, fields: dict[str, str], complaint: str
) -> None:
    answer = admin_client.post(reverse(ADD), ORDER | fields)
    assert complaint in answer.content.decode()
    assert not Job.objects.exists()


def test_an_unfinished_jobs_page_refreshes_itself(admin_client: Client) -> None:
    job = ordered(admin_client)
    record(job, JobAccepted(job_uuid=str(job.pk)), states=(JobState.ACCEPTED,))
    shown = page(admin_client, job)
    assert 'http-equiv="refresh"' in shown
    assert "accepted" in shown


def test_a_finished_jobs_page_shows_its_output_and_gives_its_artifacts(
    admin_client: Client,
) -> None:
    job = ordered(admin_client)
    done = JobFinished(
        job_uuid=str(job.pk),
        docker_process_stdout="<out>",
        docker_process_stderr="err\0",
        artifacts={"/artifacts/a b": base64.b64encode(b"bytes").decode()},
    )
    road = (JobAccepted, ExecutorReady, VolumesReady, ExecutionDone)
    steps = [message(job_uuid=str(job.pk)) for message in road]
    record(job, *steps, done, states=tuple(CLAIMS[type(message)] for message in (*steps, done)))
    shown = page(admin_client, job)
    assert 'http-equiv="refresh"' not in shown
    assert "&lt;out&gt;" in shown
    assert "/artifacts/a b</a> (6 bytes)" in shown
    url = reverse("admin:jobs_job_artifact", args=[job.pk])
    assert admin_client.get(url, {"name": "/artifacts/a b"}).content == b"bytes"
    assert admin_client.get(url, {"name": "other"}).status_code == 404


def test_a_failed_jobs_page_tells_why(admin_client: Client) -> None:
    job = ordered(admin_client)
    failed = JobFailed(
        job_uuid=str(job.pk),
        message="it broke",
        reason=FailureReason.NONZERO_RETURN_CODE,
        stage=Stage.EXECUTION,
        docker_process_exit_status=0,
        docker_process_stderr="trace",
    )
    accepted = JobAccepted(job_uuid=str(job.pk))
    record(job, accepted, failed, states=(JobState.ACCEPTED, JobState.FAILED))
    shown = page(admin_client, job)
    for text in ("nonzero_return_code", "it broke", "exit status 0", "trace"):
        assert text in shown


def test_a_rejected_jobs_page_tells_why(admin_client: Client) -> None:
    job = ordered(admin_client)
    declined = JobDeclined(
        job_uuid=str(job.pk), reason=RejectionReason.NO_MINER_FOR_JOB, message="nobody"
    )
    record(job, declined, states=(JobState.REJECTED,))
    assert "no_miner_for_job" in page(admin_client, job)


def test_jobs_are_neither_changed_nor_deleted_by_hand(admin_client: Client) -> None:
    job = ordered(admin_client)
    for action in ("change", "delete"):
        url = reverse(f"admin:jobs_job_{action}", args=[job.pk])
        assert admin_client.post(url, {"state": "completed"}).status_code == 403
    job.refresh_from_db()
    assert job.state == "received"


def test_strangers_see_nothing(client: Client) -> None:
    assert client.get(reverse(ADD)).status_code == 302


@pytest.mark.parametrize(
    "page_name",
    [
        "jobs_job",
        "jobs_jobevent",
        "jobs_allowedsigner",
        "network_neuron",
        "network_manifest",
        "network_snapshot",
        "receipts_issuedreceipt",
        "synthetic_batch",
        "synthetic_puzzle",
        "weights_weightsset",
    ],
)
def test_every_list_can_be_read(admin_client: Client, page_name: str) -> None:
    assert admin_client.get(reverse(f"admin:{page_name}_changelist")).status_code == 200
