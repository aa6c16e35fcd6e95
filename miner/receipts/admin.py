"""Admin pages of receipts, read-only."""

from django.contrib import admin

from compute_horde.django.admin_columns import hotkey
from compute_horde.django.large_lists import LargeListAdmin
from miner.receipts.models import Receipt


@admin.register(Receipt)
class ReceiptAdmin(LargeListAdmin):
    """Receipts; the search is by job and validator."""

    list_display = (
        "job_uuid",
        "receipt_type",
        "interval",
        hotkey("validator_hotkey"),
        "executor_class",
        "timestamp",
    )
    list_filter = ("receipt_type", "executor_class")
    search_fields = ("job_uuid__exact", "validator_hotkey")
    exact_fields = ("job_uuid",)
    newest_by = "id"
    unlisted_fields = ("body",)
