"""Database models of benchmark prompts: series, workloads, samples and their checked prompts."""

from django.db import models


class PromptSeries(models.Model):
    """A file of prompts in the bucket of prompts, `prompts_UUID.txt`."""

    uuid = models.UUIDField(primary_key=True)
    made_at = models.DateTimeField(auto_now_add=True, db_index=True)
    image = models.CharField(max_length=512, help_text="what made it")
    prompts = models.PositiveIntegerField(help_text="how many it has")

    class Meta:
        ordering = ["-made_at"]
        verbose_name_plural = "prompt series"

    def __str__(self) -> str:
        return f"series {self.uuid}"

    @property
    def key(self) -> str:
        """Its name in the bucket of prompts."""
        return f"prompts_{self.uuid}.txt"


class SolveWorkload(models.Model):
    """Prompts of many series that the trusted miner answers, each with the seed of its sample.

    `UUID.txt` in the bucket of answers has the prompts, `UUID.seeds` the seeds, `solved/UUID.json`
    the answers. The image and the arguments are those of its samples, too, whatever the settings
    are by then.
    """

    uuid = models.UUIDField(primary_key=True)
    image = models.CharField(max_length=512)
    arguments = models.JSONField(default=list)
    weights = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, db_index=True)
    is_deterministic = models.BooleanField(null=True, help_text="as the image declares")
    tries = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=500, blank=True, help_text="of the last try")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"workload {self.uuid}"

    @property
    def key(self) -> str:
        """The name of its prompts in the bucket of answers."""
        return f"{self.uuid}.txt"

    @property
    def seeds_key(self) -> str:
        """The name of its seeds in the bucket of answers."""
        return f"{self.uuid}.seeds"

    @property
    def answers_key(self) -> str:
        """The name of its answers in the bucket of answers."""
        return f"solved/{self.uuid}.json"

    @property
    def trace_key(self) -> str:
        """The name of what is known about its answers in the bucket of answers."""
        return f"solved/{self.uuid}.trace.json"


class PromptSample(models.Model):
    """Checked prompts of one series with a secret seed; it tests one executor, ever."""

    series = models.ForeignKey(PromptSeries, on_delete=models.CASCADE, related_name="samples")
    workload = models.ForeignKey(SolveWorkload, on_delete=models.CASCADE, related_name="samples")
    seed = models.BigIntegerField(help_text="secret until the sample is used")
    used_at = models.DateTimeField(null=True, db_index=True)
    hotkey = models.CharField(max_length=64, blank=True, help_text="the miner that it tested")
    attempt_seed = models.CharField(
        max_length=64, null=True, unique=True, help_text="the seed of the attempt it was used for"
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["series", "workload"], name="one_sample_of_a_series")
        ]

    def __str__(self) -> str:
        return f"sample {self.pk}"

    @property
    def answers_key(self) -> str:
        """The name of the miner's answers in the bucket of answers."""
        return f"miners/{self.workload_id}/{self.series_id}.json"


class Prompt(models.Model):
    """A checked prompt with its trusted answer; the miner does not know which ones they are."""

    sample = models.ForeignKey(PromptSample, on_delete=models.CASCADE, related_name="prompts")
    content = models.TextField()
    answer = models.TextField(null=True)
    trace = models.JSONField(
        null=True, help_text="how each token was chosen; empty for a deterministic image"
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.content[:60]


class PipelineStep(models.Model):
    """How the last run of one step of the pipeline ended, for the operator."""

    name = models.CharField(max_length=32, primary_key=True)
    ended_at = models.DateTimeField()
    is_ok = models.BooleanField()
    result = models.CharField(max_length=500)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.result}"
