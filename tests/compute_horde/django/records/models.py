"""A minimal job table."""

from django.db import models

from compute_horde.django import job_record
from compute_horde.django.action_record import ActionRecord


class Job(job_record.JobRecord):
    """A job with one further column."""

    note = models.CharField(max_length=20, default="")


class JobEvent(job_record.JobEvent):
    """The events of a job."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")


class Action(ActionRecord):
    """What an operator confirmed."""
