"""Database model of issued receipts."""

from django.db import models

from compute_horde.vocabulary import ReceiptType

TYPES = [(one.value, one.value) for one in ReceiptType]


class IssuedReceipt(models.Model):
    """A receipt, exactly as it was signed and sent to the miner."""

    id = models.BigAutoField(primary_key=True)
    job_uuid = models.UUIDField()
    receipt_type = models.CharField(max_length=32, choices=TYPES)
    interval = models.IntegerField(default=0, help_text="which one, of an interval receipt")
    miner_hotkey = models.CharField(max_length=64, db_index=True)
    score = models.DecimalField(max_digits=24, decimal_places=6, null=True)
    payload = models.TextField()
    signature = models.CharField(max_length=130)
    issued_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["job_uuid", "receipt_type", "miner_hotkey", "interval"],
                name="one_receipt_of_each_type",
            )
        ]

    def __str__(self) -> str:
        return f"{self.receipt_type} of {self.job_uuid}"
