"""How many prompts and answers the validator keeps ready, and how they are made."""

from pydantic import BaseModel, ConfigDict, Field

from compute_horde.hardware import ExecutorClass
from compute_horde.volumes import HuggingfaceVolume

# A presigned URL cannot be valid for longer.
MAX_URL_SECONDS = 7 * 24 * 3600


class LlmPolicy(BaseModel):
    """The setting `VALIDATOR_LLM`, as JSON; the defaults are those of the published validator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    executor_class: ExecutorClass = ExecutorClass.always_on__llm__a6000
    prompts_image: str = "computehorde/llm-prompts:v1"
    solver_image: str = "computehorde/llm-solver:v1"
    model: str = Field("tiny", description="name of the model without weights")
    quantize: str = "none"
    weights: HuggingfaceVolume | None = Field(
        None, description="weights that all jobs get, at /volume/weights"
    )

    most_series: int = Field(3500, ge=1)
    series_per_run: int = Field(25, ge=1, le=1000)
    prompts_per_series: int = Field(240, ge=1, le=10_000)
    prompt_tokens: int = Field(40, ge=1, le=1000)
    series_keep_days: int = Field(7, ge=1)

    ready_samples: int = Field(1536, ge=1, description="answered samples that are kept ready")
    checked_prompts: int | None = Field(
        None,
        ge=1,
        description="prompts of a series that are checked; unset, 1 if the newest answers of the "
        "solver's image were deterministic, else 8",
    )
    prompts_per_workload: int = Field(240, ge=1, le=10_000)

    temperature: float = Field(0.5, gt=0)
    top_p: float = Field(0.8, gt=0, le=1)
    answer_tokens: int = Field(256, ge=1, le=4096)
    trace_candidates: int = Field(8, ge=2, le=64)

    generation_seconds: int = Field(300, ge=1, le=3600)
    solving_seconds: int = Field(150, ge=1, le=3600)
    task_seconds: float = Field(300, gt=0, description="between runs of generation and answering")
    sampling_seconds: float = Field(1800, gt=0, description="between runs of sampling")
    run_seconds: float = Field(260, gt=0, description="for the workloads of one run of the task")
    url_seconds: int = Field(3600, ge=60, le=MAX_URL_SECONDS)

    @property
    def enough_series(self) -> int:
        """How many series there must be before workloads are made of them."""
        return min(2 * self.ready_samples, self.most_series)

    def solver_arguments(self) -> list[str]:
        """The arguments that a workload and its samples are answered with, but for the seed."""
        return [
            f"--temperature={self.temperature}",
            f"--top-p={self.top_p}",
            f"--max-tokens={self.answer_tokens}",
            f"--model_name={self.model}",
            f"--quantize={self.quantize}",
        ]
