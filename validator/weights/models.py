"""Database models of each cycle's weights and of every attempt to submit them."""

from django.db import models


class WeightsSet(models.Model):
    """The weights of one cycle; `cycle_start` is unique, so each cycle has at most one row.

    `state` says whether the chain accepted them, `landing` whether it holds them: weights that are
    accepted may be sealed until a later epoch, and can be lost when they are opened.
    """

    class State(models.TextChoices):
        TRYING = "trying"
        PUBLISHED = "published"
        EMPTY = "empty"
        FAILED = "failed"

    class Landing(models.TextChoices):
        OPEN = "open"
        LANDED = "landed"
        LOST = "lost"
        UNKNOWN = "unknown"

    cycle_start = models.BigIntegerField(unique=True, help_text="the cycle in which it was set")
    earned_in = models.BigIntegerField(help_text="start of the cycle that is paid")
    state = models.CharField(max_length=16, choices=State, default=State.TRYING)
    weights = models.JSONField(default=dict, help_text="hotkey: exact share")
    is_computed = models.BooleanField(default=False, help_text="`weights` are final")
    block = models.BigIntegerField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    outcome = models.TextField(blank=True)
    next_try_block = models.BigIntegerField(default=0)
    published_at = models.DateTimeField(null=True)
    landing = models.CharField(max_length=8, choices=Landing, default=Landing.OPEN)
    landed_block = models.BigIntegerField(
        null=True, help_text="the block in which they were read back"
    )
    landing_detail = models.TextField(blank=True)

    class Meta:
        ordering = ["-cycle_start"]
        verbose_name_plural = "weights set"
        permissions = [("set_weights", "Can have weights set now")]
        indexes = [models.Index(fields=["earned_in"], name="weights_by_paid_cycle")]

    def __str__(self) -> str:
        return f"weights of cycle {self.cycle_start}: {self.state}"


class Submission(models.Model):
    """One transaction with weights, stored before it is sent.

    While it is `sending`, no other one is sent: nobody knows yet whether the chain includes it. It
    cannot be included after `expires_in_block`.
    """

    class State(models.TextChoices):
        SENDING = "sending"
        ACCEPTED = "accepted"
        REFUSED = "refused"
        EXPIRED = "expired"

    weights_set = models.ForeignKey(WeightsSet, models.CASCADE, related_name="submissions")
    state = models.CharField(max_length=16, choices=State, default=State.SENDING)
    values = models.JSONField(help_text="uid: weight of 16 bits")
    hotkeys = models.JSONField(help_text="uid: the hotkey that is meant")
    sent_in_block = models.BigIntegerField()
    expires_in_block = models.BigIntegerField(help_text="no block after it can include it")
    block = models.BigIntegerField(null=True, help_text="the block that included it")
    reveal_round = models.BigIntegerField(
        null=True, help_text="the drand round until which it is sealed"
    )
    problem = models.TextField(blank=True)
    began_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["weights_set"],
                condition=models.Q(state="sending"),
                name="one_submission_at_a_time",
            ),
            models.UniqueConstraint(
                fields=["weights_set"],
                condition=models.Q(state="accepted"),
                name="one_accepted_submission",
            ),
        ]

    def __str__(self) -> str:
        return f"weights sent in block {self.sent_in_block}: {self.state}"
