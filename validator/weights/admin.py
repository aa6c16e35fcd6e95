"""Weights set, to be looked at."""

from django.contrib import admin

from validator.readonly import ReadOnlyAdmin
from validator.weights.models import WeightsSet


@admin.register(WeightsSet)
class WeightsSetAdmin(ReadOnlyAdmin):
    """What each cycle was paid."""

    list_display = ["cycle_start", "earned_in", "state", "attempts", "block", "outcome"]
    list_filter = ["state", "published_at"]
