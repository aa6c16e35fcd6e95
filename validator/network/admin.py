"""Read-only admin pages of neurons, manifests, and the chain as it is and was."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.postgres.aggregates import StringAgg
from django.db.models import OuterRef, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Concat
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from compute_horde.django.admin_columns import hotkey
from compute_horde.django.large_lists import LargeListAdmin
from compute_horde.django.read_only_admin import ReadOnlyAdmin
from validator.config import config
from validator.network import reasons
from validator.network.models import (
    Fact,
    Manifest,
    ManifestStatus,
    NamedMainHotkey,
    Neuron,
    ObservedBlocks,
    Snapshot,
)


class ServesFilter(admin.SimpleListFilter):
    """Filter by whether a neuron announced an address."""

    title = "serves"
    parameter_name = "serves"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """The choices of the filter."""
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Neuron]) -> QuerySet[Neuron]:
        """The neurons with or without an address."""
        match self.value():
            case "yes":
                return queryset.filter(registered=True, port__gt=0)
            case "no":
                return queryset.exclude(registered=True, port__gt=0)
        return queryset


@admin.register(Neuron)
class NeuronAdmin(ReadOnlyAdmin):
    """The neurons of the subnet."""

    list_display = [hotkey("hotkey"), "uid", "address", "offers", "stake", "registered", "seen_at"]
    list_filter = [ServesFilter, "registered"]
    search_fields = ["hotkey", "coldkey", "ip"]
    ordering = ["uid"]
    readonly_fields = ["gets_jobs", "counts_for_scoring", "last_batch", "last_weight", "changes"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Neuron]:
        """Neurons, with their manifests read in the same query."""
        manifest = Manifest.objects.filter(hotkey=OuterRef("hotkey")).order_by().values("hotkey")
        line = Concat(
            Cast("count", TextField()), Value(" x "), "executor_class", output_field=TextField()
        )
        lines = StringAgg(line, ", ", order_by="executor_class")
        rows: QuerySet[Neuron] = super().get_queryset(request)
        return rows.annotate(offered=Subquery(manifest.values(lines=lines)))

    @admin.display(description="address")
    def address(self, neuron: Neuron) -> str:
        """The announced address."""
        return f"{neuron.ip}:{neuron.port}" if neuron.serves else "-"

    @admin.display(description="stake (TAO)", ordering="stake_rao")
    def stake(self, neuron: Neuron) -> Decimal:
        """The stake in TAO."""
        return Decimal(neuron.stake_rao) / 10**9

    @admin.display(description="offers")
    def offers(self, neuron: Any) -> str:
        """The stored manifest."""
        return neuron.offered or "-"

    @admin.display(description="gets jobs")
    def gets_jobs(self, neuron: Neuron) -> str:
        """Whether the neuron gets jobs; if not, why."""
        return reasons.why_jobs(neuron, config.hotkey.ss58_address)

    @admin.display(description="last batch")
    def last_batch(self, neuron: Neuron) -> str:
        """The results of its puzzles in the last batch."""
        return _lines(reasons.last_batch(neuron.hotkey))

    @admin.display(description="last weight")
    def last_weight(self, neuron: Neuron) -> str:
        """Its share of the last published weights, and the cycle they pay."""
        return reasons.last_weight(neuron.hotkey)

    @admin.display(description="counts for scoring")
    def counts_for_scoring(self, neuron: Neuron) -> str:
        """The effective manifest, the pending one, and when the miner was reached last."""
        return _lines(reasons.effective_manifest(neuron.hotkey))

    @admin.display(description="changes")
    def changes(self, neuron: Neuron) -> str:
        """What changed, newest first; stakes are in the list of facts."""
        return _lines(reasons.recent_changes(neuron.hotkey)) or "none were seen"


def _lines(lines: Iterable[str]) -> str:
    return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines))


@admin.register(Manifest)
class ManifestAdmin(ReadOnlyAdmin):
    """The executors that miners offer by their newest report; jobs are placed by it."""

    list_display = ["hotkey", "executor_class", "count", "source", "heard_at"]
    list_filter = ["executor_class", "source", "heard_at"]
    search_fields = ["hotkey"]


@admin.register(ManifestStatus)
class ManifestStatusAdmin(ReadOnlyAdmin):
    """The manifests that count for scoring, and those that will."""

    list_display = [
        hotkey("hotkey"),
        "effective",
        "effective_since",
        "pending",
        "counts_from",
        "answered_at",
    ]
    search_fields = ["hotkey"]


@admin.register(NamedMainHotkey)
class NamedMainHotkeyAdmin(ReadOnlyAdmin):
    """The main hotkey of each coldkey and cycle, as its miners named it."""

    list_display = ["cycle_start", hotkey("coldkey"), hotkey("hotkey"), "named_at"]
    search_fields = ["coldkey", "hotkey"]


@admin.register(Fact)
class FactAdmin(LargeListAdmin):
    """The change log of the network."""

    list_display = [
        "from_block",
        "until_block",
        "kind",
        hotkey("subject"),
        "item",
        "value",
    ]
    list_filter = ["kind"]
    search_fields = ["subject"]
    exact_fields = ("subject",)
    newest_by = "id"


@admin.register(ObservedBlocks)
class ObservedBlocksAdmin(ReadOnlyAdmin):
    """In which blocks changes were seen; what happened between is not known."""

    list_display = ["stream", "first_block", "last_block", "last_at"]
    list_filter = ["stream"]


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    """Snapshots of the chain."""

    list_display = ["block", "tempo", "neurons", "taken_at"]
    list_filter = ["taken_at"]
