"""Validators, to look at; the blacklist, to edit."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from miner.jobs.admin import ReadOnly
from miner.validators.actions import tell_change
from miner.validators.models import Validator, ValidatorBlacklist


@admin.register(Validator)
class ValidatorAdmin(ReadOnly, admin.ModelAdmin):
    """Kept by the chain and by MINER_VALIDATORS."""

    list_display = ("hotkey", "active", "pinned", "stake", "refreshed_at")
    list_filter = ("active", "pinned")
    search_fields = ("hotkey",)


@admin.register(ValidatorBlacklist)
class BlacklistAdmin(admin.ModelAdmin):
    """Counts for the next job offered."""

    list_display = ("hotkey", "reason", "created_at")
    search_fields = ("hotkey", "reason")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Store it and tell the web process."""
        super().save_model(request, obj, form, change)
        tell_change()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove it and tell the web process."""
        super().delete_model(request, obj)
        tell_change()

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Remove several and tell the web process."""
        super().delete_queryset(request, queryset)
        tell_change()
