"""Admin pages of accepted jobs and their messages, read-only."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.db.models.functions import Left
from django.http import HttpRequest

from compute_horde.django.admin_columns import hotkey, image
from compute_horde.django.fault_columns import FaultColumns
from compute_horde.django.large_lists import LargeListAdmin
from compute_horde.django.read_only_admin import ReadOnly
from compute_horde.failure_messages import Unsuccessful, fault_of_message
from compute_horde.faults import Fault
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.vocabulary import JobState, Party
from miner.jobs.models import Job, JobEvent
from miner.validators.models import Validator

SHOWN_CHARACTERS = 2000
UNSUCCESSFUL = FINAL - {JobState.COMPLETED}


class EventInline(ReadOnly, admin.TabularInline):
    """The messages about the job, in order."""

    model = JobEvent
    fields = readonly_fields = ("created_at", "state", "message")
    extra = 0

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[JobEvent]:
        """Read only the beginning of each message: a result may have megabytes."""
        start = Left("body", SHOWN_CHARACTERS)
        rows: models.QuerySet[JobEvent] = super().get_queryset(request)
        return rows.defer("body").annotate(start=start)

    def message(self, event: Any) -> str:
        """The beginning of the message."""
        return str(event.start)


class ValidatorFilter(admin.SimpleListFilter):
    """Filter by the validator that offered the job, of those this miner knows."""

    title = "validator"
    parameter_name = "validator_hotkey"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The hotkeys to choose from."""
        hotkeys = Validator.objects.values_list("hotkey", flat=True)
        return [(hotkey, hotkey) for hotkey in hotkeys]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Job]
    ) -> models.QuerySet[Job]:
        """The jobs of the chosen validator."""
        return queryset.filter(validator_hotkey=self.value()) if self.value() else queryset


@admin.register(Job)
class JobAdmin(FaultColumns, LargeListAdmin):
    """Accepted jobs; the search is by UUID, validator and image."""

    list_display = (
        "uuid",
        "state",
        "executor_class",
        image(),
        hotkey("validator_hotkey"),
        "created_at",
        "time_took",
    )
    list_filter = ("state", "executor_class", ValidatorFilter)
    search_fields = ("uuid__exact", "validator_hotkey", "docker_image")
    exact_fields = ("uuid",)
    indexed_filters = ("state", "created_at")
    unlisted_fields = ("offered", "payload", "stdout", "stderr", "error_detail")
    readonly_fields = ("fault", "next_step")
    inlines = (EventInline,)

    def fault_of(self, job: Job) -> Fault | None:
        """The fault of a job that did not complete, by its last message."""
        end = job.events.filter(state__in=UNSUCCESSFUL).last()
        message = MINER_TO_VALIDATOR.decode(end.body) if end else None
        return fault_of_message(message, Party.MINER) if isinstance(message, Unsuccessful) else None
