"""Read-only admin pages of neurons, manifests and snapshots of the chain."""

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
from compute_horde.django.read_only_admin import ReadOnlyAdmin
from validator.config import config
from validator.network import reasons
from validator.network.models import Manifest, Neuron, Snapshot


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
    readonly_fields = ["gets_jobs", "last_batch", "last_weight"]

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
        lines = ((line,) for line in reasons.last_batch(neuron.hotkey))
        return format_html_join(mark_safe("<br>"), "{}", lines)

    @admin.display(description="last weight")
    def last_weight(self, neuron: Neuron) -> str:
        """Its share of the last published weights, and the cycle they pay."""
        return reasons.last_weight(neuron.hotkey)


@admin.register(Manifest)
class ManifestAdmin(ReadOnlyAdmin):
    """The executors that miners offer."""

    list_display = ["hotkey", "executor_class", "count", "heard_at"]
    list_filter = ["executor_class", "heard_at"]
    search_fields = ["hotkey"]


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    """Snapshots of the chain."""

    list_display = ["block", "tempo", "neurons", "taken_at"]
    list_filter = ["taken_at"]
