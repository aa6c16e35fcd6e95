"""Database models of batches of synthetic jobs, their attempts, and the miners measured so far."""

from django.db import models

from compute_horde.faults import Culprit
from validator.jobs.models import CLASSES, Job
from validator.synthetic.control.faults import FaultKind
from validator.synthetic.outcomes import Outcome

OUTCOMES = [(one.value, one.value.replace("_", " ")) for one in Outcome]
CULPRITS = [(one.value, one.value) for one in Culprit]
FAULTS = [(one.value, one.value) for one in FaultKind]


class Batch(models.Model):
    """All synthetic jobs of one cycle; `cycle_start` is unique, so each cycle has at most one.

    A row is `planned` when its cycle begins, with a slot as soon as the chain could be read. It
    runs in its slot, or is `missed`. `interrupted` is one whose worker died or was stopped.
    """

    class State(models.TextChoices):
        PLANNED = "planned"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        INTERRUPTED = "interrupted"
        MISSED = "missed"

    class Missed(models.TextChoices):
        WORKER_DOWN = "worker_down"
        CHAIN_UNREADABLE = "chain_unreadable"
        NOT_REGISTERED = "not_registered"
        NO_PERMIT = "no_permit"
        NOT_IN_SET = "not_in_set"
        NO_EXECUTORS = "no_executors"

    cycle_start = models.BigIntegerField(
        null=True, unique=True, help_text="empty: an operator's extra batch, which earns nothing"
    )
    block = models.BigIntegerField(help_text="when it began; before that, when it was planned")
    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    seed = models.CharField(max_length=64)
    started_at = models.DateTimeField(auto_now_add=True)
    alive_at = models.DateTimeField(help_text="its worker's last sign of life")
    ended_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True)
    slot_block = models.BigIntegerField(null=True, help_text="when it should begin")
    slot_until = models.BigIntegerField(null=True, help_text="the last block in which it may begin")
    slot_index = models.IntegerField(null=True, help_text="its place in the order of validators")
    slot_count = models.IntegerField(null=True, help_text="how many validators share the cycle")
    missed_because = models.CharField(
        max_length=32, choices=Missed, blank=True, default="", db_default=""
    )
    unreadable_at = models.DateTimeField(
        null=True, help_text="when the chain could not be read since this row was the newest"
    )
    is_full = models.BooleanField(
        default=True, db_default=True, help_text="all executors were tested, as in a peak cycle"
    )
    notes = models.TextField(
        blank=True, default="", db_default="", help_text="which executors were not tested, and why"
    )
    offers_took_ms = models.FloatField(null=True, help_text="from the first offer to the last")
    loop_delay_ms = models.FloatField(null=True, help_text="the worst delay of the event loop")

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "batches"
        permissions = [("run_batch", "Can run a batch now")]

    def __str__(self) -> str:
        return f"batch {self.pk} of cycle {self.cycle_start}"


class Puzzle(models.Model):
    """The attempt of one declared executor at one synthetic job: how it ended and what it earned.

    All times are the validator's. `started_at` is when the inputs were in place, and
    `loop_delay_ms` the worst delay of the validator's own event loop between offer and end.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="puzzles")
    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="puzzle")
    kind = models.CharField(max_length=16)
    seed = models.CharField(max_length=64)
    hotkey = models.CharField(max_length=64, db_index=True)
    executor_class = models.CharField(max_length=64, choices=CLASSES)
    points = models.PositiveIntegerField(default=0)
    verdict = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(
        max_length=32, choices=OUTCOMES, default=Outcome.OPEN, db_default=Outcome.OPEN.value
    )
    blamed = models.CharField(
        max_length=16,
        choices=CULPRITS,
        default=Culprit.NOBODY,
        db_default=Culprit.NOBODY.value,
        help_text="who is at fault when it earned nothing",
    )
    excused = models.BooleanField(
        default=False, db_default=False, help_text="busy, and receipts show with what"
    )
    control_fault = models.CharField(
        max_length=16,
        choices=FAULTS,
        blank=True,
        default="",
        db_default="",
        help_text="what failed on the validator's side, which excuses it like a right answer",
    )
    free_executors = models.IntegerField(
        null=True, help_text="how many the miner had free when it declined as busy"
    )
    is_new_miner = models.BooleanField(
        default=False, db_default=False, help_text="the miner was new and had more time"
    )
    offered_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    loop_delay_ms = models.FloatField(null=True)
    metrics = models.JSONField(default=dict, db_default={})

    class Meta:
        ordering = ["hotkey", "id"]
        verbose_name = "attempt"

    def __str__(self) -> str:
        return f"{self.kind} for {self.hotkey}: {self.verdict or self.outcome}"


class BatchFault(models.Model):
    """Something on the validator's side that did not work while a batch ran."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="faults")
    kind = models.CharField(max_length=16, choices=FAULTS)
    target = models.CharField(max_length=300)
    since = models.DateTimeField()
    until = models.DateTimeField()
    problem = models.CharField(max_length=200)

    class Meta:
        ordering = ["since", "id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}: {self.problem}"


class ControlTarget(models.Model):
    """What control probes try, and their newest result; evicted when it is tried no more."""

    kind = models.CharField(
        max_length=16, choices=FAULTS, blank=True, help_text="empty: it tells of the uplink only"
    )
    name = models.CharField(max_length=300)
    worked_at = models.DateTimeField(null=True, help_text="empty: never, so it excuses nobody")
    problem = models.CharField(max_length=200, blank=True, help_text="empty: it works")
    failed_at = models.DateTimeField(
        null=True, help_text="the first failed probe since it worked last"
    )
    probed_at = models.DateTimeField()

    class Meta:
        ordering = ["kind", "name"]
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="one_row_per_target")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class MeasuredMiner(models.Model):
    """When a miner was first seen by a batch, and when it last answered one; never evicted."""

    hotkey = models.CharField(max_length=64, primary_key=True)
    first_seen_block = models.BigIntegerField()
    answered_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.hotkey
