"""Read-only admin page of weights, with how each miner's share came about."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join

from compute_horde.cycles import cycle_at
from compute_horde.django.read_only_admin import ReadOnly, ReadOnlyAdmin
from validator.config import config
from validator.network.models import Snapshot
from validator.synthetic.models import Puzzle
from validator.weights import rules
from validator.weights.models import Submission, WeightsSet

State = WeightsSet.State
Landing = WeightsSet.Landing
MAX_VERDICTS = 5


class SubmissionInline(ReadOnly, admin.TabularInline):
    """The transactions with a cycle's weights."""

    model = Submission
    fields = ("state", "sent_in_block", "expires_in_block", "block", "reveal_round", "problem")


@admin.register(WeightsSet)
class WeightsSetAdmin(ReadOnlyAdmin):
    """The weights of each cycle."""

    list_display = ["cycle_start", "earned_in", "state", "landing", "attempts", "block", "outcome"]
    list_filter = ["state", "landing", "published_at"]
    readonly_fields = ["why", "by_miner"]
    inlines = [SubmissionInline]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show on the list when weights are set next."""
        return super().changelist_view(
            request, {**(extra_context or {}), "subtitle": next_window()}
        )

    def why(self, row: WeightsSet) -> str:
        """The state in a sentence."""
        return why(row)

    @admin.display(description="by miner")
    def by_miner(self, row: WeightsSet) -> str:
        """Each miner's share, its points and how its puzzles ended."""
        head = "<tr><th>hotkey</th><th>share</th><th>points</th><th>puzzles</th></tr>"
        lines = format_html_join(
            "", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", miners(row)
        )
        return format_html("<table>" + head + "{}</table>", lines) if lines else "no puzzles then"


def next_window() -> str:
    """The blocks in which weights are set next, and the present block."""
    snapshot = Snapshot.objects.first()
    if snapshot is None:
        return "The chain was not read yet: is the worker running and the node reachable?"
    cycle = cycle_at(snapshot.block, netuid=config.netuid, tempo=snapshot.tempo)
    window = rules.window(cycle)
    if snapshot.block >= window.stop:
        window = rules.window(cycle_at(cycle.stop, netuid=config.netuid, tempo=snapshot.tempo))
    at = f"block {snapshot.block} was seen at {snapshot.taken_at:%H:%M:%S} UTC"
    return f"Weights are set between blocks {window.start} and {window.stop - 1}; {at}"


def why(row: WeightsSet) -> str:
    """The state of a cycle's weights in a sentence."""
    paid = f"the work of the cycle that began in block {row.earned_in}"
    problem = f" The last problem: {row.outcome}" if row.outcome else ""
    match row.state:
        case State.PUBLISHED:
            taken = f"The chain took them after {row.attempts} attempts, for {paid}: {row.outcome}."
            return f"{taken} {landed(row)}"
        case State.EMPTY:
            return f"Nothing was set for {paid}: {row.outcome}."
        case State.FAILED:
            return f"The window closed after {row.attempts} attempts, for {paid}.{problem}"
    return f"Being tried, again from block {row.next_try_block}, for {paid}.{problem}"


def landed(row: WeightsSet) -> str:
    """Whether the chain holds the weights, in a sentence."""
    detail = f": {row.landing_detail}" if row.landing_detail else ""
    match row.landing:
        case Landing.LANDED:
            return f"They were read back in block {row.landed_block}{detail}."
        case Landing.LOST:
            return f"They were lost{detail}."
        case Landing.UNKNOWN:
            return f"Whether they took effect is not known{detail}."
    return "They were not read back yet."


def miners(row: WeightsSet) -> Iterator[tuple[str, str, int, str]]:
    """Each miner that was tested or got weight: hotkey, share, points, verdicts of its puzzles."""
    points: dict[str, int] = {}
    verdicts: dict[str, dict[str, int]] = {}
    puzzles = Puzzle.objects.filter(batch__cycle_start=row.earned_in)
    for hotkey, earned, verdict in puzzles.values_list("hotkey", "points", "verdict"):
        points[hotkey] = points.get(hotkey, 0) + earned
        counts = verdicts.setdefault(hotkey, {})
        counts[verdict or "open"] = counts.get(verdict or "open", 0) + 1
    for hotkey in sorted(points.keys() | row.weights.keys()):
        counted = sorted(verdicts.get(hotkey, {}).items(), key=lambda one: -one[1])
        text = "; ".join(f"{count} x {verdict}" for verdict, count in counted[:MAX_VERDICTS])
        yield hotkey, row.weights.get(hotkey, "0"), points.get(hotkey, 0), text
