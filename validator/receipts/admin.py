"""Issued receipts, to be looked at."""

from django.contrib import admin

from validator.readonly import ReadOnlyAdmin
from validator.receipts.models import IssuedReceipt


@admin.register(IssuedReceipt)
class IssuedReceiptAdmin(ReadOnlyAdmin):
    """What this validator promised to pay."""

    list_display = ["job_uuid", "receipt_type", "interval", "miner_hotkey", "score", "issued_at"]
    list_filter = ["receipt_type", "issued_at"]
    search_fields = ["job_uuid", "miner_hotkey"]
