"""Database models of batches of synthetic jobs and their puzzles."""

from django.db import models

from validator.jobs.models import CLASSES, Job


class Batch(models.Model):
    """All puzzles of one cycle; `cycle_start` is unique, so each cycle has at most one."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    cycle_start = models.BigIntegerField(
        null=True, unique=True, help_text="empty: an operator's extra batch, which earns nothing"
    )
    block = models.BigIntegerField(help_text="when it began")
    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    seed = models.CharField(max_length=64)
    started_at = models.DateTimeField(auto_now_add=True)
    alive_at = models.DateTimeField(help_text="its worker's last sign of life")
    ended_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "batches"

    def __str__(self) -> str:
        return f"batch {self.pk} of cycle {self.cycle_start}"


class Puzzle(models.Model):
    """One synthetic job for one offered executor, and the points it earned."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="puzzles")
    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="puzzle")
    kind = models.CharField(max_length=16)
    seed = models.CharField(max_length=64)
    hotkey = models.CharField(max_length=64, db_index=True)
    executor_class = models.CharField(max_length=64, choices=CLASSES)
    points = models.PositiveIntegerField(default=0)
    verdict = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["hotkey", "id"]

    def __str__(self) -> str:
        return f"{self.kind} for {self.hotkey}: {self.verdict or 'open'}"
