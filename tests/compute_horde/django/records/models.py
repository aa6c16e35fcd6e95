"""A minimal job table."""

from django.db import models

from compute_horde.django import job_record


class Job(job_record.JobRecord):
    """A job with one further column."""

    note = models.CharField(max_length=20, default="")


class JobEvent(job_record.JobEvent):
    """The events of a job."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")
