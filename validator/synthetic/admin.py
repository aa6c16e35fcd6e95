"""Admin pages of batches and their attempts, with a button that runs a batch now."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Concat
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from compute_horde.django.admin_columns import hotkey
from compute_horde.django.large_lists import LargeListAdmin
from compute_horde.django.read_only_admin import ReadOnly, ReadOnlyAdmin
from compute_horde.faults import Culprit
from validator.synthetic import attempts_table
from validator.synthetic.models import Batch, BatchFault, ControlTarget, MeasuredMiner, Puzzle
from validator.synthetic.outcomes import Outcome
from validator.synthetic.run_now import RUN_BATCH


class BatchFaultInline(ReadOnly, admin.TabularInline):
    """What failed on the validator's side while a batch ran."""

    model = BatchFault


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    """One batch per cycle, and those that operators requested."""

    list_display = [
        "id",
        "cycle_start",
        "state",
        "missed_because",
        "right",
        "busy",
        "at_fault",
        "block",
        "started_at",
        "problem",
    ]
    list_filter = ["state", "missed_because", "is_full", "started_at"]
    search_fields = ["=cycle_start", "problem", "notes"]
    exclude = ["seed"]
    readonly_fields = ["outcomes", "each_miner", "each_attempt"]
    inlines = [BatchFaultInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        """Batches, with their results counted in the same query."""
        puzzles = Puzzle.objects.filter(batch=OuterRef("pk")).order_by().values("batch")
        right = Cast(Count("pk", filter=Q(outcome=Outcome.CORRECT)), TextField())
        busy = Cast(Count("pk", filter=Q(outcome=Outcome.DECLINED_BUSY)), TextField())
        excused = Cast(Count("pk", filter=Q(excused=True)), TextField())
        texts = {
            "right_answers": _of(right, Cast(Count("pk"), TextField())),
            "excused_of_busy": _of(excused, busy),
            "faults_of_miners": Count("pk", filter=Q(blamed=Culprit.MINER, excused=False)),
        }
        rows: QuerySet[Batch] = super().get_queryset(request)
        return rows.annotate(
            **{name: Subquery(puzzles.values(text=text)) for name, text in texts.items()}
        )

    @admin.display(description="right answers")
    def right(self, batch: Any) -> str:
        """The number of right answers, of how many puzzles."""
        return batch.right_answers or "0 of 0"

    @admin.display(description="excused of busy")
    def busy(self, batch: Any) -> str:
        """The number of excused attempts, of those declined as busy."""
        return batch.excused_of_busy or "0 of 0"

    @admin.display(description="at fault")
    def at_fault(self, batch: Any) -> int:
        """The number of attempts that failed by the miner's fault."""
        return batch.faults_of_miners or 0

    @admin.display(description="outcomes")
    def outcomes(self, batch: Batch) -> str:
        """How many attempts ended in which way."""
        return attempts_table.by_outcome(batch)

    @admin.display(description="miners")
    def each_miner(self, batch: Batch) -> SafeString:
        """A row for each miner and class."""
        return attempts_table.miners(batch)

    @admin.display(description="attempts")
    def each_attempt(self, batch: Batch) -> SafeString:
        """A row for each attempt."""
        return attempts_table.attempts(batch)

    def get_urls(self) -> list[URLPattern]:
        """Add the URL of the button."""
        view = self.admin_site.admin_view(RUN_BATCH.view)
        return [path("run/", view, name="synthetic_batch_run"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the button to those who may use it."""
        shown = {"may_run": RUN_BATCH.is_allowed(request)}
        return super().changelist_view(request, {**(extra_context or {}), **shown})


def _of(part: Cast, whole: Cast) -> Concat:
    """`part of whole` as a text in a query."""
    return Concat(part, Value(" of "), whole, output_field=TextField())


@admin.register(Puzzle)
class PuzzleAdmin(LargeListAdmin):
    """All stored attempts."""

    list_display = [
        hotkey("hotkey"),
        "executor_class",
        "outcome",
        "blamed",
        "points",
        "verdict",
        "finished_at",
    ]
    list_filter = [
        "outcome",
        "blamed",
        "excused",
        "control_fault",
        "kind",
        "executor_class",
        "points",
    ]
    search_fields = ["hotkey", "job__uuid", "verdict"]
    exact_fields = ("job", "hotkey")
    bounding_filters = ("batch", "hotkey")
    newest_by = "id"
    exclude = ["seed"]
    list_select_related = ["batch"]


@admin.register(ControlTarget)
class ControlTargetAdmin(ReadOnlyAdmin):
    """What control probes try, and what they found last."""

    list_display = ["kind", "name", "problem", "worked_at", "probed_at"]
    list_filter = ["kind"]
    search_fields = ["name", "problem"]


@admin.register(MeasuredMiner)
class MeasuredMinerAdmin(ReadOnlyAdmin):
    """When batches first saw a miner, and when it last answered one."""

    list_display = [hotkey("hotkey"), "first_seen_block", "answered_at"]
    search_fields = ["hotkey"]
