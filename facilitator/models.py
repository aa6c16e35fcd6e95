"""Database tables: validators, users, jobs, their statuses and logs, cheat reports."""

from django.db import models
from django.utils import timezone

from compute_horde.django import job_record
from compute_horde.django.job_record import JobRecord
from compute_horde.lifecycle import UNFINISHED
from compute_horde.vocabulary import Stream


class Validator(models.Model):
    """A validator that may connect; jobs are addressed to its hotkey."""

    hotkey = models.CharField(primary_key=True, max_length=64)
    is_active = models.BooleanField(default=True)
    version = models.CharField(max_length=64, blank=True, editable=False)
    last_login = models.DateTimeField(null=True, editable=False)
    # When it first answered a login challenge; since then its published login is refused.
    challenged_since = models.DateTimeField(null=True, editable=False)
    # Logins as this validator while it was connected, since the operator last acknowledged them.
    conflicts = models.IntegerField(default=0, editable=False)
    last_conflict = models.CharField(max_length=500, blank=True, editable=False)
    last_conflict_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return self.hotkey


class AllowedHotkey(models.Model):
    """A user who may log in."""

    hotkey = models.CharField(primary_key=True, max_length=64)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.hotkey


class BindingSigner(models.Model):
    """A user who has sent a request bound to its validator; later unbound ones are refused.

    Deleting the row allows unbound requests until the next bound one.
    """

    hotkey = models.CharField(primary_key=True, max_length=64)
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.hotkey


class SpentNonce(models.Model):
    """A login nonce that was used; the primary key makes a second use fail."""

    nonce = models.CharField(primary_key=True, max_length=200)
    spent_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return self.nonce


class Job(JobRecord):
    """A user's job; `request` is the exact frame for the validator, including its key order."""

    hotkey = models.CharField(max_length=64)
    validator = models.ForeignKey(Validator, models.PROTECT, related_name="jobs")
    request = models.TextField()
    tag = models.CharField(max_length=255, blank=True)
    on_trusted_miner = models.BooleanField(default=False)
    # Hash of what the user signed, time included; the same hash twice is a replay.
    digest = models.CharField(max_length=128)
    request_nonce = models.CharField(max_length=64, null=True)
    idempotency_key = models.CharField(max_length=255, null=True)
    body_hash = models.CharField(max_length=64)
    # The connection that the job was sent on; when that is gone, it is sent on another one.
    taken_by = models.CharField(max_length=40, blank=True)
    overdue_at = models.DateTimeField()
    # The frame that asks the validator to cancel the job, and the connection it was sent on.
    cancel_request = models.TextField(blank=True)
    cancel_asked_at = models.DateTimeField(null=True)
    cancel_told_to = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hotkey", "digest"], name="no_replay"),
            models.UniqueConstraint(fields=["hotkey", "request_nonce"], name="each_nonce_once"),
            models.UniqueConstraint(
                fields=["hotkey", "idempotency_key"], name="one_job_per_idempotency_key"
            ),
        ]
        indexes = [
            # With `uuid`, a page of the owner's list is found without reading earlier rows.
            models.Index(fields=["hotkey", "-created_at", "uuid"], name="job_of_owner"),
            models.Index(fields=["hotkey", "tag", "-created_at", "uuid"], name="job_by_tag"),
            models.Index(fields=["state"], name="job_by_state"),
            # Requests still to be sent, as `cancellation.claim_requests` looks for them.
            models.Index(
                fields=["validator"],
                name="job_being_cancelled",
                condition=~models.Q(cancel_request="")
                & (models.Q(state__in=UNFINISHED) | models.Q(cancel_told_to="")),
            ),
        ]


class JobEvent(job_record.JobEvent):
    """One status of a job; `body` is the report as JSON."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")

    class Meta(job_record.JobEvent.Meta):
        constraints = [
            models.UniqueConstraint(fields=["job", "state"], name="each_status_once"),
        ]


class JobPiece(models.Model):
    """A part of a job's log; `position` and `end` count bytes from the start of the log.

    `source_end` counts the bytes of the job's own output up to here, including lost ones.
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
    """A user's report of a wrong answer; `message` is the frame for the validator."""

    job = models.OneToOneField(Job, models.CASCADE, related_name="cheat_report")
    trusted_job = models.ForeignKey(Job, models.CASCADE, related_name="+")
    message = models.TextField()
    is_told = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.job_id} against {self.trusted_job_id}"
