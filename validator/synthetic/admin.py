"""Batches and their puzzles, and a button that runs one now."""

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path
from kombu.exceptions import OperationalError

from validator.readonly import ReadOnlyAdmin
from validator.synthetic.models import Batch, Puzzle


class PuzzleInline(admin.TabularInline):
    """A batch's puzzles on its page."""

    model = Puzzle
    fields = ["hotkey", "executor_class", "kind", "points", "verdict", "job"]
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Batch | None = None) -> bool:
        """Puzzles come with their batch."""
        return False


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    """One batch per cycle, and those an operator asked for."""

    list_display = ["id", "cycle_start", "state", "right", "started_at", "ended_at", "problem"]
    list_filter = ["state", "started_at"]
    exclude = ["seed"]
    inlines = [PuzzleInline]

    @admin.display(description="right answers")
    def right(self, batch: Batch) -> str:
        """How many of how many."""
        puzzles = batch.puzzles.all()
        return f"{sum(puzzle.points for puzzle in puzzles)} of {len(puzzles)}"

    def get_urls(self) -> list[URLPattern]:
        """Also the button's."""
        view = self.admin_site.admin_view(self.run_now)
        return [path("run/", view, name="synthetic_batch_run"), *super().get_urls()]

    def run_now(self, request: HttpRequest) -> HttpResponse:
        """The button: a worker holds a batch as soon as it can."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        from validator.celery import app

        try:
            app.send_task("validator.synthetic.tasks.run_extra_batch", retry=False)
        except OperationalError as exc:
            messages.error(request, f"The worker could not be told: {exc}")
        else:
            messages.success(request, "A batch is on its way; it earns nothing.")
        return redirect("admin:synthetic_batch_changelist")


@admin.register(Puzzle)
class PuzzleAdmin(ReadOnlyAdmin):
    """Every puzzle ever set."""

    list_display = ["job", "hotkey", "executor_class", "kind", "points", "verdict", "batch"]
    list_filter = ["kind", "executor_class", "points"]
    search_fields = ["hotkey", "job__uuid", "verdict"]
    exclude = ["seed"]
    list_select_related = ["job", "batch"]
