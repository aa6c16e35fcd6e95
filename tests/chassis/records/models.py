"""The shortest job table there can be."""

from django.db import models

from compute_horde.django import job_record


class Job(job_record.JobRecord):
    """A job with one further column."""

    note = models.CharField(max_length=20, default="")


class JobEvent(job_record.JobEvent):
    """What was heard of it."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")
