"""What a language model of these programs provides: completions of prompts; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from validator.llm.programs.sampling import Sampling

# At each position the pieces of text that might come, with their margins; the chosen one is first.
# An empty piece is the end of the text.
Trace = list[list[tuple[str, float]]]


@dataclass(frozen=True, slots=True)
class Completion:
    """The text that follows a prompt, and how it was chosen, when that was asked for."""

    text: str
    trace: Trace = field(default_factory=list)


class LanguageModel(Protocol):
    """A language model that is ready.

    `is_deterministic` tells whether the same seed gives the same text on every machine, whatever
    else is in the batch and in the cache.
    """

    name: str
    is_deterministic: bool

    def complete(
        self, prompts: Sequence[str], seeds: Sequence[int], sampling: Sampling
    ) -> list[Completion]:
        """A completion of each prompt of one batch, by its own seed."""
