"""The receipts that this miner publishes."""

from django.db import models
from django.utils import timezone

from compute_horde.vocabulary import ReceiptType
from miner.jobs.models import CLASSES
from miner.validators.models import SS58_LENGTH

TYPES = [(one.value, one.value) for one in ReceiptType]


class Receipt(models.Model):
    """A receipt with both signatures; `body` is its line in the page and has the signed bytes."""

    job_uuid = models.UUIDField()
    receipt_type = models.CharField(max_length=32, choices=TYPES)
    interval = models.IntegerField(default=0, help_text="which one, of an interval receipt")
    miner_hotkey = models.CharField(max_length=SS58_LENGTH, db_default="")
    validator_hotkey = models.CharField(max_length=SS58_LENGTH)
    timestamp = models.DateTimeField(db_index=True)
    executor_class = models.CharField(max_length=64, choices=CLASSES, blank=True)
    excuses_until = models.DateTimeField(
        null=True, help_text="until when an organic started receipt excuses a refusal"
    )
    page = models.BigIntegerField(help_text="five-minute page of the time it was stored")
    body = models.TextField()
    stored_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "miner_receipt"
        ordering = ["id"]
        indexes = [
            models.Index(fields=["page", "id"]),
            models.Index(
                fields=["excuses_until"],
                name="receipt_that_excuses",
                condition=models.Q(excuses_until__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["job_uuid", "receipt_type", "validator_hotkey", "interval"],
                name="one_receipt_of_a_type_per_job_and_issuer",
            )
        ]

    def __str__(self) -> str:
        return f"{self.receipt_type} {self.job_uuid}"
