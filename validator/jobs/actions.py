"""Changes to jobs and to the lists of signers that processes beside the listener make too."""

from uuid import uuid4

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from compute_horde.django.job_record import notify
from compute_horde.lifecycle import UNFINISHED
from compute_horde.protocol.job import JobRequested
from compute_horde.vocabulary import JobState
from validator.jobs.models import AllowedSigner, BindingSigner, Job, KnownFacilitator

CHANNEL = "validator_jobs"


def create_admin_job(request: JobRequested, *, miner: str) -> Job:
    """Store an operator's own job and notify the listener, in one transaction."""
    with transaction.atomic():
        job = Job.objects.create(
            uuid=request.uuid,
            state=JobState.RECEIVED,
            kind=Job.Kind.ADMIN,
            executor_class=request.executor_class,
            docker_image=request.docker_image,
            spec=request.encode(),
            wanted_miner=miner,
        )
        notify(CHANNEL, request.uuid)
    return job


def cancel(uuid: str) -> bool:
    """Ask the listener to cancel a job; False when the job has already ended."""
    with transaction.atomic():
        unfinished = Job.objects.filter(pk=uuid, state__in=UNFINISHED)
        first_request = Coalesce("cancel_asked_at", Value(timezone.now()))
        found = unfinished.update(cancel_asked_at=first_request)
        notify(CHANNEL, uuid)
    return bool(found)


def new_uuid() -> str:
    """A new UUID for a job that this validator creates."""
    return str(uuid4())


def allow_signers(hotkeys: list[str], note: str) -> None:
    """Add hotkeys whose signed jobs this validator accepts."""
    AllowedSigner.objects.bulk_create(
        [AllowedSigner(hotkey=hotkey, note=note) for hotkey in hotkeys], ignore_conflicts=True
    )


def record_binding_signer(hotkey: str) -> None:
    """Record that this user binds its requests: unbound ones are refused from now on."""
    BindingSigner.objects.get_or_create(hotkey=hotkey)


def has_offered_challenge(url: str) -> bool:
    """Whether a login by challenge has ever succeeded at this facilitator."""
    return KnownFacilitator.objects.filter(url=url).exists()


def record_challenge(url: str) -> None:
    """Record that a login by challenge succeeded at this facilitator."""
    KnownFacilitator.objects.get_or_create(url=url)
