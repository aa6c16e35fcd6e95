"""Receipts, to look at."""

from django.contrib import admin

from miner.jobs.admin import ReadOnly
from miner.receipts.models import Receipt


@admin.register(Receipt)
class ReceiptAdmin(ReadOnly, admin.ModelAdmin):
    """Find a receipt by its job or issuer."""

    list_display = (
        "job_uuid",
        "receipt_type",
        "interval",
        "validator_hotkey",
        "executor_class",
        "timestamp",
    )
    list_filter = ("receipt_type", "executor_class")
    search_fields = ("job_uuid__exact", "validator_hotkey")
