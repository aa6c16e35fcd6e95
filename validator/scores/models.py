"""Database models of scored cycles and of the score of each miner."""

from django.db import models


class ScoredCycle(models.Model):
    """One cycle's work, scored once: the facts and parameters that its scores are computed from."""

    cycle_start = models.BigIntegerField(unique=True, help_text="the cycle whose work is scored")
    cycle_stop = models.BigIntegerField()
    formula = models.CharField(max_length=32)
    version = models.CharField(max_length=40, help_text="of the parameters")
    facts = models.TextField(help_text="everything that the scores depend on, as JSON")
    parameters = models.TextField(help_text="as JSON")
    computed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-cycle_start"]
        permissions = [("recompute_scores", "Can replace the scores of a cycle")]

    def __str__(self) -> str:
        return f"cycle {self.cycle_start}"


class Score(models.Model):
    """What one miner earned in a cycle.

    `document` explains it as JSON, exactly as it is published; `signature` is the validator's over
    its bytes.
    """

    cycle = models.ForeignKey(ScoredCycle, models.CASCADE, related_name="scores")
    hotkey = models.CharField(max_length=64)
    uid = models.IntegerField()
    share = models.DecimalField(max_digits=13, decimal_places=12, help_text="of all weights")
    u16 = models.PositiveIntegerField(help_text="the weight as the chain stores it")
    document = models.TextField()
    signature = models.CharField(max_length=130)

    class Meta:
        ordering = ["-cycle", "uid"]
        constraints = [
            models.UniqueConstraint(fields=["cycle", "hotkey"], name="one_score_per_cycle")
        ]
        indexes = [models.Index(fields=["hotkey", "-cycle"], name="scores_of_miner")]

    def __str__(self) -> str:
        return f"{self.hotkey} in {self.cycle}"
