"""Neurons, manifests and looks at the chain, to be looked at."""

from decimal import Decimal

from django.contrib import admin

from validator.network.models import Manifest, Neuron, Snapshot
from validator.readonly import ReadOnlyAdmin


class ServesFilter(admin.SimpleListFilter):
    """Miners are the neurons with an address."""

    title = "serves"
    parameter_name = "serves"

    def lookups(self, request, model_admin):  # noqa: ANN001, ANN201
        """Yes or no."""
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request, queryset):  # noqa: ANN001, ANN201
        """Those with or without a port."""
        match self.value():
            case "yes":
                return queryset.filter(registered=True, port__gt=0)
            case "no":
                return queryset.exclude(registered=True, port__gt=0)
        return queryset


@admin.register(Neuron)
class NeuronAdmin(ReadOnlyAdmin):
    """Who is on the subnet."""

    list_display = ["hotkey", "uid", "address", "offers", "stake", "registered", "seen_at"]
    list_filter = [ServesFilter, "registered"]
    search_fields = ["hotkey", "coldkey", "ip"]
    ordering = ["uid"]

    @admin.display(description="address")
    def address(self, neuron: Neuron) -> str:
        """Where it listens."""
        return f"{neuron.ip}:{neuron.port}" if neuron.serves else "-"

    @admin.display(description="stake (TAO)", ordering="stake_rao")
    def stake(self, neuron: Neuron) -> Decimal:
        """Stake as people read it."""
        return Decimal(neuron.stake_rao) / 10**9

    @admin.display(description="offers")
    def offers(self, neuron: Neuron) -> str:
        """Its manifest."""
        rows = Manifest.objects.filter(hotkey=neuron.hotkey)
        return ", ".join(f"{row.count} x {row.executor_class}" for row in rows) or "-"


@admin.register(Manifest)
class ManifestAdmin(ReadOnlyAdmin):
    """What miners say they have."""

    list_display = ["hotkey", "executor_class", "count", "heard_at"]
    list_filter = ["executor_class", "heard_at"]
    search_fields = ["hotkey"]


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    """Looks at the chain."""

    list_display = ["block", "tempo", "neurons", "taken_at"]
    list_filter = ["taken_at"]
