"""Database models of the subnet: its present state, and the change log of what it was."""

from django.db import models

from compute_horde.hardware import ExecutorClass
from validator.network import network_state

CLASSES = [(one.value, one.value) for one in ExecutorClass]


class ManifestSource(models.TextChoices):
    """Where a manifest comes from."""

    MINER = "miner", "the miner itself"
    CHAIN = "chain", "its commitment on the chain, since it does not answer"


class Snapshot(models.Model):
    """The state of the chain when it was read; the newest row is the present one."""

    block = models.BigIntegerField()
    tempo = models.IntegerField()
    neurons = models.IntegerField()
    taken_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-id"]
        get_latest_by = "id"
        indexes = [models.Index(fields=["block", "id"], name="snapshot_by_block")]

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
    """How many executors of a class a miner offers by its newest report: jobs are placed by it.

    What counts for scoring is the effective manifest; see `ManifestStatus`.
    """

    hotkey = models.CharField(max_length=64)
    executor_class = models.CharField(max_length=64, choices=CLASSES)
    count = models.PositiveIntegerField()
    heard_at = models.DateTimeField(help_text="when this was reported or read last")
    source = models.CharField(
        max_length=8, choices=ManifestSource.choices, db_default=ManifestSource.MINER
    )

    class Meta:
        ordering = ["hotkey", "executor_class"]
        constraints = [
            models.UniqueConstraint(fields=["hotkey", "executor_class"], name="one_count_per_class")
        ]

    def __str__(self) -> str:
        return f"{self.hotkey} offers {self.count} of {self.executor_class}"


class ManifestStatus(models.Model):
    """The effective manifest of a miner, which counts for scoring, and the pending one.

    A manifest that is reported too soon after the last change is pending until `counts_from`.
    Manifests list classes with at least one executor only.
    """

    hotkey = models.CharField(max_length=64, primary_key=True)
    answered_at = models.DateTimeField(null=True, help_text="when the miner itself reported last")
    effective = models.JSONField(null=True, help_text="null until the first report")
    effective_since = models.DateTimeField(null=True)
    pending = models.JSONField(null=True, help_text="reported, but not effective yet")
    reported_at = models.DateTimeField(null=True, help_text="when the pending one was reported")
    counts_from = models.DateTimeField(null=True, help_text="when it becomes effective")

    class Meta:
        ordering = ["hotkey"]
        verbose_name_plural = "manifest statuses"

    def __str__(self) -> str:
        return self.hotkey


class NamedMainHotkey(models.Model):
    """The main hotkey that the miners of a coldkey named in a cycle; the first answer counts."""

    coldkey = models.CharField(max_length=64)
    cycle_start = models.BigIntegerField()
    hotkey = models.CharField(max_length=64)
    named_by = models.CharField(max_length=64, help_text="the miner that answered")
    named_at = models.DateTimeField()

    class Meta:
        ordering = ["-cycle_start", "coldkey"]
        constraints = [
            models.UniqueConstraint(
                fields=["cycle_start", "coldkey"], name="one_main_hotkey_per_cycle"
            )
        ]

    def __str__(self) -> str:
        return f"{self.hotkey} of {self.coldkey} from block {self.cycle_start}"


class Fact(models.Model):
    """One entry of the change log: `value` holds from `from_block` up to before `until_block`.

    A row is written when something changes. The migration adds a constraint that two rows of the
    same kind, subject and item never hold in the same block.
    """

    class Kind(models.TextChoices):
        """What a fact is about; the form of `value` follows from it."""

        NEURON = network_state.NEURON, "registration: uid, coldkey, permit"
        ADDRESS = network_state.ADDRESS, "address: ip, port"
        STAKE = network_state.STAKE, "stake in rao"
        MANIFEST = network_state.MANIFEST, "effective manifest: executors of the class"
        HYPERPARAMETERS = network_state.HYPERPARAMETERS, "hyperparameters of the subnet"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    subject = models.CharField(max_length=64, blank=True, help_text="a hotkey; empty: the subnet")
    item = models.CharField(max_length=64, blank=True, help_text="the class, in manifests")
    value = models.JSONField()
    from_block = models.BigIntegerField()
    until_block = models.BigIntegerField(null=True, help_text="null: it holds now")
    began_at = models.DateTimeField(help_text="time of from_block, as far as known")
    ended_at = models.DateTimeField(null=True, help_text="time of until_block")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject", "item"],
                condition=models.Q(until_block=None),
                name="one_present_fact",
            ),
            models.CheckConstraint(
                condition=models.Q(until_block__gt=models.F("from_block")), name="fact_holds"
            ),
        ]
        indexes = [
            models.Index(fields=["subject", "from_block"], name="fact_by_subject"),
            models.Index(fields=["until_block"], name="fact_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} from block {self.from_block}"


class ObservedBlocks(models.Model):
    """A run of blocks in which this validator saw every change; between runs it was blind."""

    class Stream(models.TextChoices):
        """What was observed."""

        CHAIN = "chain", "neurons, addresses and stakes"
        MANIFESTS = "manifests", "manifests"

    stream = models.CharField(max_length=16, choices=Stream.choices)
    first_block = models.BigIntegerField()
    last_block = models.BigIntegerField()
    last_at = models.DateTimeField(help_text="when last_block was observed")

    class Meta:
        ordering = ["-last_block"]
        verbose_name_plural = "observed blocks"
        constraints = [
            models.UniqueConstraint(fields=["stream", "last_block"], name="one_run_ends_in_a_block")
        ]

    def __str__(self) -> str:
        return f"{self.stream}: {self.first_block} to {self.last_block}"
