"""Database model of the weights of each cycle."""

from django.db import models


class WeightsSet(models.Model):
    """The weights of one cycle; `cycle_start` is unique, so each cycle has at most one row."""

    class State(models.TextChoices):
        TRYING = "trying"
        PUBLISHED = "published"
        EMPTY = "empty"
        FAILED = "failed"

    cycle_start = models.BigIntegerField(unique=True, help_text="the cycle in which it was set")
    earned_in = models.BigIntegerField(help_text="start of the cycle that is paid")
    state = models.CharField(max_length=16, choices=State, default=State.TRYING)
    weights = models.JSONField(default=dict, help_text="hotkey: exact share")
    block = models.BigIntegerField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    outcome = models.TextField(blank=True)
    next_try_block = models.BigIntegerField(default=0)
    published_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-cycle_start"]
        verbose_name_plural = "weights set"

    def __str__(self) -> str:
        return f"weights of cycle {self.cycle_start}: {self.state}"
