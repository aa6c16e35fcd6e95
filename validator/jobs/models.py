"""A job, what was said of it, and whose jobs we take."""

from django.db import models
from django.utils import timezone

from compute_horde.django import job_record
from compute_horde.django.job_record import JobRecord
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import JobRequested
from compute_horde.vocabulary import Party
from validator.jobs.intervals import Worked

CLASSES = [(one.value, one.value) for one in ExecutorClass]
PARTIES = [(one.value, one.value) for one in Party]


class Job(JobRecord):
    """A job of a user, an operator or a batch, from `received` to its end.

    The listener (or the batch) that conducts a job is the only writer of its row, but for what
    others ask of it.
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
    # Not a column: what its receipts say, filled in for whoever takes the job up again.
    worked: Worked | None = None

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["created_at"],
                name="untold_organic",
                condition=models.Q(kind="organic", told=False),
            )
        ]

    @property
    def request(self) -> JobRequested:
        """What is to be done."""
        return JobRequested.model_validate_json(self.spec)


class JobEvent(job_record.JobEvent):
    """One fact about a job and who said it."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    said_by = models.CharField(max_length=16, choices=PARTIES, default=Party.MINER)


class AllowedSigner(models.Model):
    """A hotkey whose signed jobs this validator takes."""

    hotkey = models.CharField(max_length=64, primary_key=True)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return self.hotkey
