"""Accepted jobs and their facts, to look at."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from miner.jobs.models import Job, JobEvent

SHOWN_CHARACTERS = 2000


class ReadOnly:
    """Nobody writes these rows but the miner itself."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Events(ReadOnly, admin.TabularInline):
    """What was said of the job, in order."""

    model = JobEvent
    fields = readonly_fields = ("created_at", "state", "said")
    extra = 0

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[JobEvent]:
        """A result may have megabytes; its beginning is enough to read."""
        start = models.functions.Left("body", SHOWN_CHARACTERS)
        return super().get_queryset(request).defer("body").annotate(start=start)

    def said(self, event: Any) -> str:
        """The message, or its beginning."""
        return str(event.start)


@admin.register(Job)
class JobAdmin(ReadOnly, admin.ModelAdmin):
    """Find a job by its uuid, validator or image."""

    list_display = (
        "uuid",
        "state",
        "executor_class",
        "docker_image",
        "validator_hotkey",
        "created_at",
        "time_took",
    )
    list_filter = ("state", "executor_class", "validator_hotkey")
    search_fields = ("uuid__exact", "validator_hotkey", "docker_image")
    inlines = (Events,)
