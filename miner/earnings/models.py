"""What is known of this miner's earnings: scores, pay, prices, and declined offers."""

from django.db import models

from miner.jobs.models import CLASSES
from miner.validators.models import SS58_LENGTH


class ScoreDocument(models.Model):
    """A validator's signed explanation of one hotkey's score in a cycle, verified."""

    validator_hotkey = models.CharField(max_length=SS58_LENGTH)
    miner_hotkey = models.CharField(max_length=SS58_LENGTH)
    cycle_start = models.BigIntegerField()
    cycle_stop = models.BigIntegerField()
    document = models.TextField(help_text="the signed JSON text")
    signature = models.CharField(max_length=130)
    fetched_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "miner_scoredocument"
        ordering = ["-cycle_start", "validator_hotkey", "miner_hotkey"]
        constraints = [
            models.UniqueConstraint(
                fields=["cycle_start", "validator_hotkey", "miner_hotkey"],
                name="one_document_per_cycle",
            )
        ]

    def __str__(self) -> str:
        return f"{self.miner_hotkey} by {self.validator_hotkey} in {self.cycle_start}"


class CyclePay(models.Model):
    """What the chain paid a hotkey in a cycle, extrapolated from the last epoch seen in it."""

    cycle_start = models.BigIntegerField()
    hotkey = models.CharField(max_length=SS58_LENGTH)
    rao = models.BigIntegerField(help_text="of the subnet's alpha")
    read_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "miner_cyclepay"
        ordering = ["-cycle_start", "hotkey"]
        constraints = [
            models.UniqueConstraint(fields=["cycle_start", "hotkey"], name="one_pay_per_cycle")
        ]

    def __str__(self) -> str:
        return f"{self.rao} rao for {self.hotkey} in {self.cycle_start}"


class ClassPrice(models.Model):
    """What an executor-hour of a class costs and earns, in alpha; the newest that is known."""

    class Source(models.TextChoices):
        """Where the earned price comes from."""

        SETTING = "setting", "MINER_PRICES"
        MEASURED = "measured", "measured"
        UNKNOWN = "unknown", "not known yet"

    executor_class = models.CharField(max_length=64, choices=CLASSES, primary_key=True)
    cost = models.DecimalField(max_digits=24, decimal_places=9)
    earned = models.DecimalField(max_digits=24, decimal_places=9, null=True)
    source = models.CharField(max_length=16, choices=Source.choices)
    hours = models.DecimalField(
        max_digits=16, decimal_places=3, default=0, help_text="of work that were measured"
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "miner_classprice"
        ordering = ["executor_class"]

    def __str__(self) -> str:
        return self.executor_class


class DeclineCount(models.Model):
    """How many offers were declined in one minute, by parties, class and cause."""

    minute = models.DateTimeField(db_index=True)
    miner_hotkey = models.CharField(max_length=SS58_LENGTH)
    validator_hotkey = models.CharField(max_length=SS58_LENGTH)
    executor_class = models.CharField(max_length=64, choices=CLASSES)
    cause = models.CharField(max_length=64)
    with_excuses = models.BooleanField(help_text="receipts of other jobs were sent along")
    count = models.BigIntegerField()

    class Meta:
        db_table = "miner_declinecount"
        ordering = ["-minute"]
        constraints = [
            models.UniqueConstraint(
                fields=[
                    *("minute", "miner_hotkey", "validator_hotkey"),
                    *("executor_class", "cause", "with_excuses"),
                ],
                name="one_count_per_minute",
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} x {self.cause}"
