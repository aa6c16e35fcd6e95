"""The database model of the blocks that this validator spent."""

from django.db import models

from compute_horde.hardware import ExecutorClass

CLASSES = [(one.value, one.value) for one in ExecutorClass]


class SpentBlock(models.Model):
    """A block whose allowance at a miner and class pays for a job; it pays for no other one."""

    id = models.BigAutoField(primary_key=True)
    miner_hotkey = models.CharField(max_length=64)
    executor_class = models.CharField(max_length=64, choices=CLASSES)
    block = models.BigIntegerField()
    job_uuid = models.UUIDField()
    spent_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["miner_hotkey", "executor_class", "block"], name="each_block_pays_once"
            )
        ]

    def __str__(self) -> str:
        return f"block {self.block} at {self.miner_hotkey} for {self.job_uuid}"
