"""The kind `hash`: an executor proves its speed by searching for numbers with given hashes."""

import base64
import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from compute_horde.protocol.job import JobFinished
from compute_horde.volumes import InlineVolume
from validator.synthetic.kinds.hash_chain import Difficulty, HashChain, hash_chain
from validator.synthetic.kinds.kind import (
    BatchFacts,
    DeclaredExecutor,
    Preparation,
    PreparedJob,
    TimeLimits,
    Verdict,
    compared,
)

# A list of targets is one argument of the container, which the kernel bounds to 128 KiB.
MAX_TARGETS = 500
LISTS_FILE = "lists"
VOLUME_SECONDS = 10
KEY_CHARACTERS = {1: 16, 2: 48}
Algorithm = Literal["sha256", "sha384", "sha512"]


class HashParameters(BaseModel):
    """The parameters of `hash` in the settings.

    `version` 1 sends the whole puzzle when the executor is ready. Version 2 sends the lists of
    hashes early, as a volume with the offer, and only the key, without which they are of no use,
    when the executor is ready. `sha384` needs an image with hashcat or sha384sum.
    `promised_seconds` is how long an executor takes that keeps the promise of its class: a miner's
    efficiency is measured by it, and not without it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1, 2] = 1
    image: str = "computehorde/hash:v1"
    candidates: int = Field(100, ge=1, le=10**18)
    targets: int = Field(3, ge=1, le=MAX_TARGETS)
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1, max_length=8)] = (
        "sha256",
        "sha512",
        "sha256",
    )
    seconds: int = Field(60, ge=1, le=3600)
    promised_seconds: float | None = Field(None, gt=0, le=3600)

    @property
    def difficulty(self) -> Difficulty:
        """The size of the puzzles."""
        characters = KEY_CHARACTERS[self.version]
        return Difficulty(self.candidates, self.targets, self.algorithms, characters)


class HashKind:
    """Makes a puzzle for each executor, and compares the answers."""

    Parameters = HashParameters

    def __init__(self, parameters: HashParameters) -> None:
        self._parameters = parameters

    async def prepare(
        self, facts: BatchFacts, executors: Sequence[DeclaredExecutor]
    ) -> Preparation:
        """A puzzle for every executor; there is never a shortage."""
        del facts
        return Preparation([self._job(executor) for executor in executors])

    def verify(self, job: PreparedJob, result: JobFinished, seconds: float) -> Verdict:
        """One point for the right answer; notes what the class promised, if that is known."""
        verdict = compared(job, result, seconds)
        promised = self._parameters.promised_seconds
        if promised is None:
            return verdict
        return replace(verdict, metrics={**verdict.metrics, "promised": promised})

    def _job(self, executor: DeclaredExecutor) -> PreparedJob:
        parameters = self._parameters
        puzzle = hash_chain(executor.seed, executor.hotkey, parameters.difficulty)
        args = ["chain", puzzle.key, str(puzzle.candidates)]
        is_early = parameters.version == 2
        return PreparedJob(
            kind="hash",
            executor=executor,
            image=parameters.image,
            args=args if is_early else [*args, *puzzle.lists],
            limits=TimeLimits(parameters.seconds, download=VOLUME_SECONDS if is_early else 0),
            expected=puzzle.answer,
            volume=_lists_volume(puzzle) if is_early else None,
        )


def _lists_volume(puzzle: HashChain) -> InlineVolume:
    """A zip with one file: a list per line."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(LISTS_FILE, "\n".join(puzzle.lists) + "\n")
    return InlineVolume(contents=base64.b64encode(packed.getvalue()).decode())
