"""Admin pages of the pipeline: its steps, series, workloads and samples; secrets are left out."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from compute_horde.django.admin_columns import hotkey
from compute_horde.django.read_only_admin import ReadOnlyAdmin
from validator.llm.models import PipelineStep, PromptSample, PromptSeries, SolveWorkload


@admin.register(PipelineStep)
class PipelineStepAdmin(ReadOnlyAdmin):
    """How each step ended last, and why samples are short."""

    list_display = ["name", "is_ok", "result", "ended_at"]


@admin.register(PromptSeries)
class PromptSeriesAdmin(ReadOnlyAdmin):
    """The files of prompts."""

    list_display = ["uuid", "prompts", "image", "made_at"]
    search_fields = ["=uuid"]


@admin.register(SolveWorkload)
class SolveWorkloadAdmin(ReadOnlyAdmin):
    """The workloads, with how many of their samples are left."""

    list_display = ["uuid", "finished_at", "is_deterministic", "left", "tries", "problem"]
    list_filter = ["is_deterministic", "finished_at"]
    search_fields = ["=uuid", "problem"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SolveWorkload]:
        """Workloads, with their samples counted in the same query."""
        unused = Count("samples", filter=Q(samples__used_at=None))
        rows: QuerySet[SolveWorkload] = super().get_queryset(request)
        return rows.annotate(all_samples=Count("samples"), unused_samples=unused)

    @admin.display(description="unused samples")
    def left(self, workload: Any) -> str:
        """The number of unused samples, of how many."""
        return f"{workload.unused_samples} of {workload.all_samples}"


@admin.register(PromptSample)
class PromptSampleAdmin(ReadOnlyAdmin):
    """The samples, and the miners that they tested."""

    list_display = ["id", "series_id", "workload_id", hotkey("hotkey"), "used_at"]
    list_filter = ["used_at"]
    search_fields = ["=hotkey", "=attempt_seed"]
    # Seeds are secret until the sample is used, and of no interest afterwards.
    exclude = ["seed", "attempt_seed"]
