"""Read-only admin pages of claims that a result is false, and of repeated jobs."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from compute_horde.django.admin_columns import hotkey
from compute_horde.django.large_lists import LargeListAdmin
from validator.trusted_miner.models import CheatFinding, CrossValidation


@admin.register(CheatFinding)
class CheatFindingAdmin(LargeListAdmin):
    """Claims that a result is false: who made it, what it proves, and the evidence."""

    list_display = ["job_uuid", "source", "verdict", "takes_points", hotkey("miner"), "created_at"]
    list_filter = ["verdict", "source", "executor_class", "created_at"]
    search_fields = ["job_uuid", "miner", "signatory"]
    exact_fields = ("job_uuid", "miner")
    indexed_filters = ("created_at",)
    newest_by = "created_at"
    unlisted_fields = ("request", "miner_result", "trusted_result", "report", "differences")
    fields = (
        "job_page", "source", "verdict", "takes_points", "reason", "miner", "executor_class",
        "signatory", "job_ended_at", "is_listed_image", "trusted_job_page", "created_at",
        "differing", "request", "miner_result", "trusted_result", "report",
    )  # fmt: skip
    readonly_fields = ("job_page", "trusted_job_page", "takes_points", "differing")

    @admin.display(description="the job earns nothing", boolean=True)
    def takes_points(self, finding: CheatFinding) -> bool:
        """Whether the finding counts against the miner."""
        return finding.counts

    @admin.display(description="job")
    def job_page(self, finding: CheatFinding) -> str:
        """A link to the job."""
        return _link(str(finding.job_uuid))

    @admin.display(description="trusted job")
    def trusted_job_page(self, finding: CheatFinding) -> str:
        """A link to the user's job on the trusted miner; repetitions have no row."""
        if finding.source == CheatFinding.Source.USER:
            return _link(str(finding.trusted_job_uuid))
        return str(finding.trusted_job_uuid)

    @admin.display(description="differences")
    def differing(self, finding: CheatFinding) -> str:
        """What differs, with digests."""
        lines = [
            (one["what"], one["miner"], one["trusted"], one["where"])
            for one in finding.listed_differences
        ]
        line = "{}\n  miner         {}\n  trusted miner {}\n  {}\n"
        return format_html("<pre>{}</pre>", format_html_join("", line, lines))


@admin.register(CrossValidation)
class CrossValidationAdmin(LargeListAdmin):
    """Users' jobs that the trusted miner repeats."""

    list_display = ["job_uuid", "state", "tries", "problem", "created_at"]
    list_filter = ["state", "created_at"]
    search_fields = ["job_uuid"]
    exact_fields = ("job_uuid",)
    indexed_filters = ("state", "created_at")
    newest_by = "created_at"


def _link(uuid: str) -> str:
    return format_html('<a href="{}">{}</a>', reverse("admin:jobs_job_change", args=[uuid]), uuid)
