"""What an operator sees and may change."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from facilitator.models import AllowedHotkey, CheatReport, Job, JobEvent, Validator

admin.site.site_header = admin.site.site_title = "ComputeHorde facilitator"


class ReadOnly:
    """For records of what happened."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(AllowedHotkey)
class AllowedHotkeyAdmin(admin.ModelAdmin):
    list_display = ("hotkey", "note", "created_at")
    search_fields = ("hotkey", "note")


@admin.register(Validator)
class ValidatorAdmin(admin.ModelAdmin):
    list_display = ("hotkey", "is_active", "version", "last_login")
    list_filter = ("is_active",)
    search_fields = ("hotkey",)
    readonly_fields = ("version", "last_login")


class JobEventInline(ReadOnly, admin.TabularInline):
    model = JobEvent
    fields = ("created_at", "state", "body")
    ordering = ("id",)


@admin.register(Job)
class JobAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("uuid", "state", "state_since", "created_at", "hotkey", "validator", "tag")
    list_filter = ("state", "on_trusted_miner", "validator")
    search_fields = ("uuid", "hotkey", "tag")
    ordering = ("-created_at",)
    inlines = (JobEventInline,)


@admin.register(CheatReport)
class CheatReportAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("job", "trusted_job", "is_told", "created_at")
    search_fields = ("job__uuid", "trusted_job__uuid")
