"""Database models of receipts: those this validator issued, and those miners publish."""

from django.db import models
from django.db.models import Q

from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import ReceiptType

TYPES = [(one.value, one.value) for one in ReceiptType]
CLASSES = [(one.value, one.value) for one in ExecutorClass]
EARNING = (ReceiptType.FINISHED.value, ReceiptType.INTERVAL.value)


class IssuedReceipt(models.Model):
    """A receipt, exactly as it was signed and sent to the miner."""

    id = models.BigAutoField(primary_key=True)
    job_uuid = models.UUIDField()
    receipt_type = models.CharField(max_length=32, choices=TYPES)
    interval = models.IntegerField(default=0, help_text="which one, of an interval receipt")
    miner_hotkey = models.CharField(max_length=64)
    score = models.DecimalField(max_digits=24, decimal_places=6, null=True)
    payload = models.TextField()
    signature = models.CharField(max_length=130)
    issued_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["miner_hotkey", "issued_at"], name="issued_to_miner")]
        constraints = [
            models.UniqueConstraint(
                fields=["job_uuid", "receipt_type", "miner_hotkey", "interval"],
                name="one_receipt_of_each_type",
            )
        ]

    def __str__(self) -> str:
        return f"{self.receipt_type} of {self.job_uuid}"


class Receipt(models.Model):
    """A receipt of any validator, read from a page of its miner; both signatures were verified.

    The unique key contains both signers, so that nobody can take the place of the receipt of
    others. Receipts of this validator are here too, once their miner has published them.
    """

    id = models.BigAutoField(primary_key=True)
    job_uuid = models.UUIDField()
    receipt_type = models.CharField(max_length=32, choices=TYPES)
    interval = models.IntegerField(default=0, help_text="which one, of an interval receipt")
    miner_hotkey = models.CharField(max_length=64)
    validator_hotkey = models.CharField(max_length=64)
    timestamp = models.DateTimeField(db_index=True)
    valid_until = models.DateTimeField(
        null=True, help_text="of a started or accepted receipt: until when it holds an executor"
    )
    executor_class = models.CharField(max_length=64, choices=CLASSES, blank=True)
    is_organic = models.BooleanField(null=True)
    score = models.DecimalField(max_digits=24, decimal_places=6, null=True)
    payload = models.TextField(help_text="the signed bytes, as text")
    validator_signature = models.BinaryField()
    miner_signature = models.BinaryField()
    stored_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "job_uuid",
                    "receipt_type",
                    "miner_hotkey",
                    "validator_hotkey",
                    "interval",
                ],
                name="one_receipt_per_type_and_signers",
            )
        ]
        indexes = [
            models.Index(
                # The validator comes second: of most of them no receipts are asked for.
                fields=["miner_hotkey", "validator_hotkey", "valid_until"],
                name="receipt_holding_executor",
                condition=Q(valid_until__isnull=False),
            ),
            models.Index(
                fields=["miner_hotkey", "timestamp"],
                name="receipt_earning",
                condition=Q(receipt_type__in=EARNING),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.receipt_type} of {self.job_uuid} by {self.validator_hotkey}"


class PageCheckpoint(models.Model):
    """How much of a miner's page was read at one of its addresses."""

    id = models.BigAutoField(primary_key=True)
    miner_hotkey = models.CharField(max_length=64)
    address = models.CharField(max_length=80, help_text="host:port")
    page = models.BigIntegerField(db_index=True, help_text="UNIX time in units of 300 s")
    offset = models.BigIntegerField(help_text="bytes that were read and stored")
    given_up = models.CharField(
        max_length=32, blank=True, help_text="why this page is not read any more"
    )

    class Meta:
        ordering = ["-page", "miner_hotkey"]
        constraints = [
            models.UniqueConstraint(
                fields=["miner_hotkey", "address", "page"], name="one_checkpoint_per_page"
            )
        ]

    def __str__(self) -> str:
        return f"page {self.page} of {self.miner_hotkey}"


class TransferStatus(models.Model):
    """When pages of a miner were last fetched, and what went wrong last."""

    miner_hotkey = models.CharField(max_length=64, primary_key=True)
    address = models.CharField(max_length=80, help_text="host:port")
    newest_page = models.BigIntegerField(
        null=True, help_text="the newest page that was fetched, in units of 300 s of UNIX time"
    )
    fetched_at = models.DateTimeField(null=True, help_text="the last successful fetch")
    failed_at = models.DateTimeField(null=True, help_text="the last fetch that failed")
    problem = models.CharField(max_length=32, blank=True, help_text="of the last failed fetch")
    changed_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["miner_hotkey"]
        verbose_name_plural = "transfer statuses"

    def __str__(self) -> str:
        return self.miner_hotkey


class TransferCount(models.Model):
    """A counter of the transfer, of one miner or, without a hotkey, of all miners."""

    id = models.BigAutoField(primary_key=True)
    miner_hotkey = models.CharField(max_length=64, blank=True)
    name = models.CharField(max_length=32)
    reason = models.CharField(max_length=32, blank=True)
    count = models.BigIntegerField()
    changed_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["miner_hotkey", "name", "reason"]
        constraints = [
            models.UniqueConstraint(
                fields=["miner_hotkey", "name", "reason"], name="one_count_per_miner_and_reason"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.reason} of {self.miner_hotkey or 'all miners'}"
