"""Read-only admin pages of scored cycles and of what each miner earned, with the reasons."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path
from django.utils.html import format_html

from compute_horde.django.admin_columns import hotkey
from compute_horde.django.read_only_admin import ReadOnly, ReadOnlyAdmin
from validator.scores.documents import as_text
from validator.scores.models import Score, ScoredCycle
from validator.scores.recompute import RECOMPUTE

# The first cycle of a young chain begins before its block 0.
ADDRESS = r"^(?P<subject>-?[0-9]{1,12})/recompute/$"


class ScoreInline(ReadOnly, admin.TabularInline):
    """The miners of a cycle."""

    model = Score
    fields = ("hotkey", "uid", "share", "u16")
    show_change_link = True


@admin.register(ScoredCycle)
class ScoredCycleAdmin(ReadOnlyAdmin):
    """The cycles that were scored, with the parameters they were scored with."""

    list_display = ["cycle_start", "cycle_stop", "formula", "version", "computed_at"]
    list_filter = ["formula", "version", "computed_at"]
    # Facts may be megabytes; `python -m validator export` prints them.
    exclude = ["facts"]
    inlines = [ScoreInline]
    change_form_template = "admin/scores/scoredcycle/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the URL of the button."""
        view = self.admin_site.admin_view(RECOMPUTE.view)
        recompute = re_path(ADDRESS, view, name="scores_recompute")
        return [recompute, *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show the button to those who may use it."""
        context["may_recompute"] = RECOMPUTE.is_allowed(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScoredCycle]:
        """Cycles without their facts, which may be megabytes each."""
        rows: QuerySet[ScoredCycle] = super().get_queryset(request)
        return rows.defer("facts")


@admin.register(Score)
class ScoreAdmin(ReadOnlyAdmin):
    """What a miner earned in a cycle, and why."""

    list_display = ["cycle", hotkey("hotkey"), "uid", "share", "u16"]
    list_filter = ["cycle__formula"]
    search_fields = ["hotkey"]
    readonly_fields = ["explanation"]
    exclude = ["document"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Score]:
        """Scores without the facts of their cycles."""
        rows: QuerySet[Score] = super().get_queryset(request)
        return rows.select_related("cycle").defer("cycle__facts", "cycle__parameters", "document")

    @admin.display(description="why")
    def explanation(self, score: Score) -> str:
        """The same text as `python -m validator explain`."""
        return format_html("<pre>{}</pre>", as_text(json.loads(score.document)))
