"""What became of claims that a result is false, and the jobs to be repeated."""

import json
from typing import Any

from django.db import models
from django.utils import timezone

from compute_horde.hardware import ExecutorClass
from validator.trusted_miner.rules import COUNTED, CheatVerdict

# So many jobs wait for their repetition, and so many of them for one user's reports.
MAX_WAITING = 100
MAX_WAITING_REPORTS = 10
CLASSES = [(one.value, one.value) for one in ExecutorClass]


class CheatFinding(models.Model):
    """A claim that the result of a miner is false, with its evidence; one for each job.

    It is kept longer than the job. `request` and the results are shortened; `differences` has the
    digests of their full parts.
    """

    class Source(models.TextChoices):
        USER = "user", "a report of the job's user"
        CROSS_VALIDATION = "cross_validation", "another run on the trusted miner"

    job_uuid = models.UUIDField(primary_key=True)
    source = models.CharField(max_length=20, choices=Source)
    verdict = models.CharField(max_length=12, choices=[(one, one) for one in CheatVerdict])
    reason = models.CharField(max_length=500, help_text="why this is the verdict")
    miner = models.CharField(max_length=64, db_index=True)
    executor_class = models.CharField(max_length=64, choices=CLASSES)
    is_listed_image = models.BooleanField(
        default=False,
        db_default=False,
        help_text="the operator lists the job's image as deterministic",
    )
    job_ended_at = models.DateTimeField(null=True, db_index=True)
    signatory = models.CharField(max_length=64, blank=True, help_text="the job's user")
    trusted_job_uuid = models.UUIDField(help_text="the run that is believed")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    differences = models.TextField(help_text="what differs, with digests, as JSON")
    request = models.TextField(help_text="the job, shortened")
    miner_result = models.TextField(blank=True, help_text="shortened")
    trusted_result = models.TextField(blank=True, help_text="shortened")
    report = models.TextField(blank=True, help_text="the user's signed report")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.job_uuid} {self.verdict}"

    @property
    def counts(self) -> bool:
        """Whether the job earns nothing because of it."""
        return self.verdict in COUNTED

    @property
    def listed_differences(self) -> list[dict[str, Any]]:
        """The differences as they were stored."""
        found: list[dict[str, Any]] = json.loads(self.differences)
        return found


class CrossValidation(models.Model):
    """A completed job that is to be repeated on the trusted miner, or was."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        SAME = "same", "the results are the same"
        DIFFERS = "differs", "the results differ"
        UNSTABLE = "unstable", "two runs on the trusted miner differ"
        FAILED = "failed", "it could not be repeated"

    job_uuid = models.UUIDField(primary_key=True)
    state = models.CharField(max_length=12, choices=State, default=State.WAITING)
    tries = models.IntegerField(default=0)
    problem = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    state_since = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["state", "created_at"], name="cross_validation_queue")]

    def __str__(self) -> str:
        return f"{self.job_uuid} {self.state}"
