"""The admin pages of recorded actions: what was confirmed, its progress and its result."""

from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from compute_horde.django.action_record import ActionRecord
from compute_horde.django.read_only_admin import ReadOnlyAdmin


class ActionRecordAdmin(ReadOnlyAdmin):
    """A list of audit rows; the page of one that has not ended refreshes itself."""

    list_display = ("asked_at", "user", "name", "subject", "state", "short_result")
    list_filter = ("name", "state", "asked_at")
    search_fields = ("=user", "=subject", "digest")
    fields = (
        "name", "subject", "user", "state", "asked_at", "started_at", "ended_at", "result",
        "made_row", "digest", "token",
    )  # fmt: skip
    readonly_fields = ("made_row",)
    change_form_template = "compute_horde/action_record.html"

    def short_result(self, record: ActionRecord) -> str:
        """The beginning of the result."""
        return record.result[:100]

    def made_row(self, record: ActionRecord) -> str | SafeString:
        """A link to what the action made."""
        label, _, key = record.result_row.partition(":")
        if not key:
            return "-"
        name = apps.get_model(label)._meta.verbose_name
        try:
            address = reverse(f"admin:{label.replace('.', '_')}_change", args=[key])
        except NoReverseMatch:
            return f"{name} {key}"
        return format_html('<a href="{}">{} {}</a>', address, name, key)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Add the preview that was confirmed."""
        if record := kwargs.get("obj"):
            tables = [(table, 0) for table in record.preview.get("tables", ())]
            context |= {"record": record, "tables": tables, "preview_title": "What was confirmed"}
            context["facts"] = record.preview.get("facts", ())
        return super().render_change_form(request, context, *args, **kwargs)
