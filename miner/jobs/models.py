"""Accepted jobs and the messages about them."""

from django.db import models
from django.db.models import Func, Value

from compute_horde.django import job_record
from compute_horde.hardware import ExecutorClass
from miner.validators.models import SS58_LENGTH

CLASSES = [(one.value, one.value) for one in ExecutorClass]


class Job(job_record.JobRecord):
    """A job that this miner accepted; the row is written before the acceptance is sent."""

    # Operators sort by `id`, as the network's documents say; the code uses `uuid`.
    number = models.BigIntegerField(
        db_column="id",
        unique=True,
        editable=False,
        db_default=Func(Value("miner_acceptedjob_id_seq"), function="nextval"),
        help_text="grows with acceptance",
    )
    miner_hotkey = models.CharField(
        max_length=SS58_LENGTH, db_default="", help_text="the one that the job was offered to"
    )
    validator_hotkey = models.CharField(max_length=SS58_LENGTH)
    executor_class = models.CharField(max_length=64, choices=CLASSES)
    executor_token = models.CharField(max_length=64, help_text="SHA-256 of the one-time token")
    offer_digest = models.CharField(max_length=64, help_text="tells a repeated offer from another")
    docker_image = models.TextField(blank=True)
    offered = models.TextField(help_text="the offer without contents, addresses and secrets")
    payload = models.TextField(blank=True, help_text="the full job, likewise")
    exit_status = models.IntegerField(null=True)
    stdout = models.TextField(blank=True)
    stderr = models.TextField(blank=True)
    error_type = models.CharField(max_length=64, blank=True)
    error_detail = models.TextField(blank=True)
    time_took = models.DurationField(null=True)

    class Meta:
        db_table = "miner_acceptedjob"
        verbose_name = "accepted job"
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["validator_hotkey", "state_since"]),
            models.Index(fields=["state"], name="acceptedjob_by_state"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=[state for state, _ in job_record.STATES]),
                name="acceptedjob_state_is_a_word_of_ours",
            ),
            models.UniqueConstraint(fields=["executor_token"], name="one_job_per_executor"),
        ]


class JobEvent(job_record.JobEvent):
    """A message about an accepted job."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")

    class Meta(job_record.JobEvent.Meta):
        db_table = "miner_jobevent"
