"""What the kind `llm` gets for one executor: prompts, a secret seed and trusted answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from compute_horde.volumes import HuggingfaceVolume
from validator.llm.programs.completion import Trace


@dataclass(frozen=True, slots=True)
class CheckedPrompt:
    """A prompt with its trusted answer, and without an exact comparison how that was chosen."""

    content: str
    answer: str
    trace: Trace


@dataclass(frozen=True, slots=True)
class LlmSample:
    """A series of prompts for one executor; `checked` are those with trusted answers.

    The three URLs are presigned: the prompts, where the answers are stored, and where they are read
    again. `arguments` are those of the solver without its input and seed.
    """

    name: str
    seed: int
    image: str
    arguments: Sequence[str]
    weights: HuggingfaceVolume | None
    prompts_url: str
    upload_url: str
    download_url: str
    checked: Sequence[CheckedPrompt]
    is_deterministic: bool


@dataclass(frozen=True, slots=True)
class Taker:
    """The attempt that a sample is taken for: its miner, and its own seed."""

    hotkey: str
    attempt_seed: str


@dataclass(frozen=True, slots=True)
class TakenSamples:
    """Samples for the first takers; `shortage` says why the rest have none."""

    samples: Sequence[LlmSample]
    shortage: str = ""


class SampleSource(Protocol):
    """Where samples come from; each is handed out once."""

    async def take(self, takers: Sequence[Taker], link_seconds: int) -> TakenSamples:
        """A sample for each taker, or for the first ones if there are not enough.

        None is taken when their URLs are not valid for `link_seconds`.
        """
