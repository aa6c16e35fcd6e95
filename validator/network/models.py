"""Database models of the subnet: chain snapshots, neurons and manifests."""

from django.db import models

from compute_horde.hardware import ExecutorClass

CLASSES = [(one.value, one.value) for one in ExecutorClass]


class Snapshot(models.Model):
    """The state of the chain when it was read; the newest row is the present one."""

    block = models.BigIntegerField()
    tempo = models.IntegerField()
    neurons = models.IntegerField()
    taken_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-id"]
        get_latest_by = "id"

    def __str__(self) -> str:
        return f"block {self.block}"


class Neuron(models.Model):
    """A registered hotkey of the subnet; one with an address may be a miner."""

    hotkey = models.CharField(max_length=64, primary_key=True)
    coldkey = models.CharField(max_length=64, db_index=True)
    uid = models.IntegerField()
    ip = models.CharField(max_length=64, blank=True)
    port = models.IntegerField(default=0)
    stake_rao = models.BigIntegerField(default=0)
    registered = models.BooleanField(default=True, db_index=True)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["uid"]

    def __str__(self) -> str:
        return self.hotkey

    @property
    def serves(self) -> bool:
        """Whether it announced an address."""
        return self.registered and self.port > 0


class Manifest(models.Model):
    """How many executors of a class a miner offers."""

    hotkey = models.CharField(max_length=64)
    executor_class = models.CharField(max_length=64, choices=CLASSES)
    count = models.PositiveIntegerField()
    heard_at = models.DateTimeField()

    class Meta:
        ordering = ["hotkey", "executor_class"]
        constraints = [
            models.UniqueConstraint(fields=["hotkey", "executor_class"], name="one_count_per_class")
        ]

    def __str__(self) -> str:
        return f"{self.hotkey} offers {self.count} of {self.executor_class}"
