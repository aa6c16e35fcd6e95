"""Admin pages of validators (read-only), signing validators and the blacklist."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from compute_horde.django.read_only_admin import ReadOnly
from miner.validators.actions import notify_change
from miner.validators.models import SigningValidator, Validator, ValidatorBlacklist


@admin.register(Validator)
class ValidatorAdmin(ReadOnly, admin.ModelAdmin):
    """Validators from the chain and from `MINER_VALIDATORS`."""

    list_display = ("hotkey", "active", "pinned", "stake", "refreshed_at")
    list_filter = ("active", "pinned")
    search_fields = ("hotkey",)


class NotifyingAdmin(admin.ModelAdmin):
    """Notifies the web process of every change."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Store the row and notify the web process."""
        super().save_model(request, obj, form, change)
        notify_change()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the row and notify the web process."""
        super().delete_model(request, obj)
        notify_change()

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Delete the rows and notify the web process."""
        super().delete_queryset(request, queryset)
        notify_change()


@admin.register(SigningValidator)
class SigningValidatorAdmin(NotifyingAdmin):
    """Validators that sign requests; delete one to accept its unsigned requests again."""

    list_display = ("hotkey", "since")
    search_fields = ("hotkey",)


@admin.register(ValidatorBlacklist)
class ValidatorBlacklistAdmin(NotifyingAdmin):
    """Blacklisted validators; changes apply to the next offered job."""

    list_display = ("hotkey", "reason", "created_at")
    search_fields = ("hotkey", "reason")
