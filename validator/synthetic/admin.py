"""Admin pages of batches and puzzles, with a button that runs a batch now."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum, TextField, Value
from django.db.models.functions import Cast, Concat
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path
from kombu.exceptions import OperationalError

from compute_horde.django.admin_columns import hotkey
from compute_horde.django.large_lists import LargeListAdmin
from compute_horde.django.read_only_admin import ReadOnly, ReadOnlyAdmin
from validator.synthetic.models import Batch, Puzzle


class PuzzleInline(ReadOnly, admin.TabularInline):
    """The puzzles on the page of a batch."""

    model = Puzzle
    fields = ("hotkey", "executor_class", "kind", "points", "verdict", "job")


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    """One batch per cycle, and those that operators requested."""

    list_display = ["id", "cycle_start", "state", "right", "started_at", "ended_at", "problem"]
    list_filter = ["state", "started_at"]
    exclude = ["seed"]
    inlines = [PuzzleInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        """Batches, with their results counted in the same query."""
        puzzles = Puzzle.objects.filter(batch=OuterRef("pk")).order_by().values("batch")
        points, count = Cast(Sum("points"), TextField()), Cast(Count("pk"), TextField())
        text = Concat(points, Value(" of "), count, output_field=TextField())
        rows: QuerySet[Batch] = super().get_queryset(request)
        return rows.annotate(right_answers=Subquery(puzzles.values(text=text)))

    @admin.display(description="right answers")
    def right(self, batch: Any) -> str:
        """The number of right answers, of how many puzzles."""
        return batch.right_answers or "0 of 0"

    def get_urls(self) -> list[URLPattern]:
        """Add the URL of the button."""
        view = self.admin_site.admin_view(self.run_now)
        return [path("run/", view, name="synthetic_batch_run"), *super().get_urls()]

    def run_now(self, request: HttpRequest) -> HttpResponse:
        """Queue a batch that a worker runs as soon as it can."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        from validator.celery import app

        try:
            app.send_task("validator.synthetic.tasks.run_extra_batch", retry=False)
        except OperationalError as exc:
            messages.error(
                request, f"The batch could not be queued, since the broker cannot be reached: {exc}"
            )
        else:
            messages.success(request, "A batch is queued; its points do not count.")
        return redirect("admin:synthetic_batch_changelist")


@admin.register(Puzzle)
class PuzzleAdmin(LargeListAdmin):
    """All stored puzzles."""

    list_display = [
        "job_id",
        hotkey("hotkey"),
        "executor_class",
        "kind",
        "points",
        "verdict",
        "batch",
    ]
    list_filter = ["kind", "executor_class", "points"]
    search_fields = ["hotkey", "job__uuid", "verdict"]
    exact_fields = ("job", "hotkey")
    newest_by = "id"
    exclude = ["seed"]
    list_select_related = ["batch"]
