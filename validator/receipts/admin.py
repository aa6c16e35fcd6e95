"""Read-only admin pages of receipts, and of their transfer from miners."""

from datetime import UTC, datetime

from django.contrib import admin

from compute_horde.django.admin_columns import hotkey
from compute_horde.django.large_lists import LargeListAdmin
from compute_horde.django.read_only_admin import ReadOnlyAdmin
from validator.receipts.models import (
    IssuedReceipt,
    PageCheckpoint,
    Receipt,
    TransferCount,
    TransferStatus,
)
from validator.receipts.pages import PAGE_SECONDS


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


@admin.register(Receipt)
class ReceiptAdmin(LargeListAdmin):
    """The verified receipts of all validators, as miners published them."""

    list_display = [
        "job_uuid",
        "receipt_type",
        "interval",
        hotkey("validator_hotkey"),
        hotkey("miner_hotkey"),
        "executor_class",
        "score",
        "timestamp",
    ]
    list_filter = ["receipt_type", "executor_class", "is_organic"]
    search_fields = ["job_uuid", "validator_hotkey", "miner_hotkey"]
    exact_fields = ("job_uuid",)
    newest_by = "id"
    unlisted_fields = ("payload", "validator_signature", "miner_signature")


@admin.register(TransferStatus)
class TransferStatusAdmin(ReadOnlyAdmin):
    """When each miner's pages were last fetched."""

    list_display = [
        hotkey("miner_hotkey"),
        "address",
        "newest_page_begins",
        "fetched_at",
        "failed_at",
        "problem",
    ]
    list_filter = ["problem"]
    search_fields = ["miner_hotkey", "address"]

    @admin.display(description="newest page begins", ordering="newest_page")
    def newest_page_begins(self, status: TransferStatus) -> datetime | None:
        """The time from which on receipts are in the newest page that was fetched."""
        if status.newest_page is None:
            return None
        return datetime.fromtimestamp(status.newest_page * PAGE_SECONDS, UTC)


@admin.register(TransferCount)
class TransferCountAdmin(ReadOnlyAdmin):
    """How many receipts, transfers and errors there were, of each miner and of all."""

    list_display = ["miner_hotkey", "name", "reason", "count", "changed_at"]
    list_filter = ["name", "reason"]
    search_fields = ["miner_hotkey"]


@admin.register(PageCheckpoint)
class PageCheckpointAdmin(LargeListAdmin):
    """How far each page was read."""

    list_display = ["page", hotkey("miner_hotkey"), "address", "offset", "given_up"]
    list_filter = ["given_up"]
    search_fields = ["miner_hotkey", "address"]
    newest_by = "id"
