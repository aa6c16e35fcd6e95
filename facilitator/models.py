"""Who may use this facilitator, and what they asked of whom."""

from django.db import models
from django.utils import timezone

from compute_horde.django import job_record
from compute_horde.django.job_record import JobRecord
from compute_horde.vocabulary import Stream


class Validator(models.Model):
    """A validator that may connect; jobs are addressed to its hotkey."""

    hotkey = models.CharField(primary_key=True, max_length=64)
    is_active = models.BooleanField(default=True)
    version = models.CharField(max_length=64, blank=True, editable=False)
    last_login = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return self.hotkey


class AllowedHotkey(models.Model):
    """A user who may log in."""

    hotkey = models.CharField(primary_key=True, max_length=64)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.hotkey


class SpentNonce(models.Model):
    """A login nonce that was used; its primary key makes the second use fail."""

    nonce = models.CharField(primary_key=True, max_length=200)
    spent_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return self.nonce


class Job(JobRecord):
    """A user's job. `request` is the frame said to the validator, key order and all."""

    hotkey = models.CharField(max_length=64)
    validator = models.ForeignKey(Validator, models.PROTECT, related_name="jobs")
    request = models.TextField()
    tag = models.CharField(max_length=255, blank=True)
    on_trusted_miner = models.BooleanField(default=False)
    # What the user signed, time included; the same twice is a replay.
    digest = models.CharField(max_length=128)
    idempotency_key = models.CharField(max_length=255, null=True)
    body_hash = models.CharField(max_length=64)
    # The connection that was told; a job whose connection is gone is said to another one.
    taken_by = models.CharField(max_length=40, blank=True)
    overdue_at = models.DateTimeField(db_index=True)
    # The frame that asks the validator to end the job, and the connection it was said on.
    cancel_request = models.TextField(blank=True)
    cancel_asked_at = models.DateTimeField(null=True)
    cancel_told_to = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hotkey", "digest"], name="no_replay"),
            models.UniqueConstraint(
                fields=["hotkey", "idempotency_key"], name="one_job_per_idempotency_key"
            ),
        ]
        indexes = [
            models.Index(fields=["hotkey", "-created_at"], name="job_by_owner"),
            models.Index(
                fields=["validator"],
                name="job_to_cancel",
                condition=~models.Q(cancel_request=""),
            ),
        ]


class JobEvent(job_record.JobEvent):
    """One status of a job; `body` is the report it came in."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")

    class Meta(job_record.JobEvent.Meta):
        constraints = [
            models.UniqueConstraint(fields=["job", "state"], name="each_status_once"),
        ]


class JobPiece(models.Model):
    """A part of what a job printed; all parts in order are one text, whose bytes are counted.

    `source_end` counts the bytes that the job itself printed up to here, with those that were lost.
    """

    job = models.ForeignKey(Job, models.CASCADE, related_name="pieces")
    number = models.IntegerField()
    position = models.BigIntegerField()
    end = models.BigIntegerField()
    source_end = models.BigIntegerField()
    stream = models.CharField(max_length=6, choices=[(one, one) for one in Stream])
    text = models.TextField()
    is_gap = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "position"], name="each_byte_once"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} from {self.position}"


class CheatReport(models.Model):
    """A user's claim that a job was answered wrongly; `message` is the frame for the validator."""

    job = models.OneToOneField(Job, models.CASCADE, related_name="cheat_report")
    trusted_job = models.ForeignKey(Job, models.CASCADE, related_name="+")
    message = models.TextField()
    is_told = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.job_id} against {self.trusted_job_id}"
