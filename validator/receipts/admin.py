"""Read-only admin page of issued receipts."""

from django.contrib import admin

from compute_horde.django.admin_columns import hotkey
from compute_horde.django.large_lists import LargeListAdmin
from validator.receipts.models import IssuedReceipt


@admin.register(IssuedReceipt)
class IssuedReceiptAdmin(LargeListAdmin):
    """All receipts that this validator issued."""

    list_display = [
        "job_uuid",
        "receipt_type",
        "interval",
        hotkey("miner_hotkey"),
        "score",
        "issued_at",
    ]
    list_filter = ["receipt_type", "issued_at"]
    search_fields = ["job_uuid", "miner_hotkey"]
    exact_fields = ("job_uuid", "miner_hotkey")
    newest_by = "id"
    unlisted_fields = ("payload", "signature")
