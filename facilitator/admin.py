"""The operator's admin pages."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from compute_horde.django.admin_columns import hotkey
from compute_horde.django.fault_columns import FaultColumns
from compute_horde.django.large_lists import LargeListAdmin
from compute_horde.django.read_only_admin import ReadOnly
from compute_horde.failure_messages import fault_of_status
from compute_horde.faults import Fault
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from facilitator.models import AllowedHotkey, BindingSigner, CheatReport, Job, JobEvent, Validator

UNSUCCESSFUL = FINAL - {JobState.COMPLETED}

admin.site.site_header = admin.site.site_title = "ComputeHorde facilitator"
# The sidebar takes the width that the tables need.
admin.site.enable_nav_sidebar = False


@admin.register(AllowedHotkey)
class AllowedHotkeyAdmin(admin.ModelAdmin):
    list_display = ("hotkey", "note", "created_at")
    search_fields = ("hotkey", "note")


@admin.register(BindingSigner)
class BindingSignerAdmin(admin.ModelAdmin):
    """Delete a row to allow unbound requests of its user, say after a return to older software."""

    list_display = ("hotkey", "since")
    search_fields = ("hotkey",)


@admin.register(Validator)
class ValidatorAdmin(admin.ModelAdmin):
    list_display = ("hotkey", "is_active", "alarm", "version", "last_login", "challenged_since")
    list_filter = ("is_active",)
    search_fields = ("hotkey",)
    readonly_fields = (
        "alarm",
        "conflicts",
        "last_conflict",
        "last_conflict_at",
        "version",
        "last_login",
        "challenged_since",
    )
    actions = ("acknowledge_conflicts", "allow_published_login")

    def alarm(self, validator: Validator) -> str:
        """A warning when somebody else uses the validator's login, else a dash."""
        if not validator.conflicts:
            return "-"
        return f"ALARM: two parties log in as this validator ({validator.conflicts} times)"

    @admin.action(description="Acknowledge the alarms of the selected validators")
    def acknowledge_conflicts(self, request: HttpRequest, selected: QuerySet[Validator]) -> None:
        selected.update(conflicts=0)

    @admin.action(description="Allow the published login again (it can be replayed)")
    def allow_published_login(self, request: HttpRequest, selected: QuerySet[Validator]) -> None:
        selected.update(challenged_since=None)


class JobEventInline(ReadOnly, admin.TabularInline):
    model = JobEvent
    fields = ("created_at", "state", "body")
    ordering = ("id",)


@admin.register(Job)
class JobAdmin(FaultColumns, LargeListAdmin):
    list_display = (
        "uuid",
        "state",
        "state_since",
        "created_at",
        hotkey("hotkey"),
        hotkey("validator_id"),
        "tag",
    )
    list_filter = ("state", "on_trusted_miner", "validator")
    search_fields = ("uuid", "hotkey", "tag")
    exact_fields = ("uuid", "hotkey")
    indexed_filters = ("state", "created_at")
    unlisted_fields = ("request", "cancel_request")
    readonly_fields = ("fault", "next_step")
    inlines = (JobEventInline,)

    def fault_of(self, job: Job) -> Fault | None:
        """The fault of a job that did not complete, by its last status."""
        end = job.events.filter(state__in=UNSUCCESSFUL).last()
        if end is None:
            return None
        return fault_of_status(StatusReported.model_validate_json(end.body).metadata)


@admin.register(CheatReport)
class CheatReportAdmin(LargeListAdmin):
    list_display = ("job_id", "trusted_job_id", "is_told", "created_at")
    search_fields = ("job__uuid", "trusted_job__uuid")
    exact_fields = ("job", "trusted_job")
    newest_by = "id"
    unlisted_fields = ("message",)
