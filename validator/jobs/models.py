"""Jobs, their events, and the signers and facilitators that are known."""

from collections.abc import Collection

from django.db import models
from django.utils import timezone

from compute_horde.django import job_record
from compute_horde.django.job_record import JobRecord
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import JobRequested
from compute_horde.vocabulary import Party
from validator.jobs.interval_receipts import WorkProgress

CLASSES = [(one.value, one.value) for one in ExecutorClass]
PARTIES = [(one.value, one.value) for one in Party]


class Job(JobRecord):
    """A job of a user, an operator or a batch, from `received` to its final state.

    Only the listener or the batch that runs a job writes its row, except for
    `cancel_asked_at` and `cheat_reported_at`.
    """

    class Kind(models.TextChoices):
        ORGANIC = "organic"
        ADMIN = "admin"
        SYNTHETIC = "synthetic"

    kind = models.CharField(max_length=16, choices=Kind)
    executor_class = models.CharField(max_length=64, choices=CLASSES)
    docker_image = models.CharField(max_length=512)
    spec = models.TextField(help_text="the request as it was heard")
    signatory = models.CharField(max_length=64, blank=True)
    request_digest = models.CharField(
        max_length=64, null=True, unique=True, help_text="a signed request is taken once"
    )
    nonce_digest = models.CharField(
        max_length=64, null=True, unique=True, help_text="a nonce is used once, too"
    )
    wanted_miner = models.CharField(max_length=64, blank=True, help_text="empty: any miner")
    miner = models.CharField(max_length=64, blank=True, db_index=True)
    deadline = models.DateTimeField(null=True, help_text="when the present state must be over")
    accepted_at = models.DateTimeField(null=True)
    told = models.BooleanField(
        default=False, help_text="whether the facilitator acknowledged the end"
    )
    cheat_reported_at = models.DateTimeField(null=True)
    cancel_asked_at = models.DateTimeField(
        null=True, help_text="when its owner, or an operator, wanted it ended"
    )
    # Not a column: read from the receipts when a job is resumed.
    work_progress: WorkProgress | None = None
    # Not a column: the miners that were sent a started receipt.
    offered_to: Collection[str] = ()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["state", "kind"], name="job_by_state"),
            models.Index(
                fields=["created_at"],
                name="untold_organic",
                condition=models.Q(kind="organic", told=False),
            ),
            models.Index(
                fields=["state_since"],
                name="completed_organic",
                condition=models.Q(kind="organic", state="completed"),
            ),
        ]

    @property
    def request(self) -> JobRequested:
        """The job request."""
        return JobRequested.model_validate_json(self.spec)


class JobEvent(job_record.JobEvent):
    """A message that changed the state of a job; `said_by` is its sender."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    said_by = models.CharField(max_length=16, choices=PARTIES, default=Party.MINER)


class RefusedOffer(models.Model):
    """A miner that declined a user's job, whatever became of the job; once per job and miner."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="refusals")
    hotkey = models.CharField(max_length=64)
    reason = models.CharField(max_length=32, help_text="as the miner said")
    declined_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["declined_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["job", "hotkey"], name="one_refusal_per_miner")
        ]

    def __str__(self) -> str:
        return f"{self.hotkey} declined {self.job_id}"


class BindingSigner(models.Model):
    """A user that has bound a request to this validator; all its later ones must be bound too.

    Deleting the row allows unbound requests until the next bound one.
    """

    hotkey = models.CharField(primary_key=True, max_length=64)
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.hotkey


class KnownFacilitator(models.Model):
    """A facilitator where a login by challenge succeeded; it never gets the published login again.

    Deleting the row allows that, for example after it went back to published software.
    """

    url = models.CharField(max_length=500, primary_key=True)
    challenges_since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.url


class AllowedSigner(models.Model):
    """A hotkey whose signed jobs this validator accepts."""

    hotkey = models.CharField(max_length=64, primary_key=True)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return self.hotkey
