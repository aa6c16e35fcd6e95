"""Read-only admin page of weights, with the transactions that carried them."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from compute_horde.django.read_only_admin import ReadOnly, ReadOnlyAdmin
from validator.scores.models import Score
from validator.weights.explanations import next_window, why
from validator.weights.models import Submission, WeightsSet
from validator.weights.set_now import SET_WEIGHTS


class SubmissionInline(ReadOnly, admin.TabularInline):
    """The transactions with a cycle's weights."""

    model = Submission
    fields = ("state", "sent_in_block", "expires_in_block", "block", "reveal_round", "problem")


@admin.register(WeightsSet)
class WeightsSetAdmin(ReadOnlyAdmin):
    """The weights of each cycle."""

    list_display = ["cycle_start", "earned_in", "state", "landing", "attempts", "block", "outcome"]
    list_filter = ["state", "landing", "published_at"]
    exclude = ["weights"]
    readonly_fields = ["why", "by_miner"]
    inlines = [SubmissionInline]
    change_list_template = "admin/weights/weightsset/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the URL of the button."""
        view = self.admin_site.admin_view(SET_WEIGHTS.view)
        return [path("set/", view, name="weights_set_now"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show on the list when weights are set next, and the button to those who may use it."""
        shown = {"subtitle": next_window(), "may_set": SET_WEIGHTS.is_allowed(request)}
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    def why(self, row: WeightsSet) -> str:
        """The state in a sentence."""
        return why(row)

    @admin.display(description="by miner")
    def by_miner(self, row: WeightsSet) -> str | SafeString:
        """Each miner's exact share, with a link to the explanation of its score."""
        scores = Score.objects.filter(cycle__cycle_start=row.earned_in)
        keys = dict(scores.values_list("hotkey", "pk"))
        lines = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            ((one, share, _why_link(keys.get(one))) for one, share in sorted(row.weights.items())),
        )
        head = "<tr><th>hotkey</th><th>share</th><th>explained</th></tr>"
        return format_html("<table>" + head + "{}</table>", lines) if lines else "nobody"


def _why_link(score: int | None) -> str | SafeString:
    if score is None:
        return "the score is deleted"
    return format_html('<a href="{}">why</a>', reverse("admin:scores_score_change", args=[score]))
