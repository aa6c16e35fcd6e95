"""From prompts to points: the programs are real, the buckets too, and miners cheat."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from compute_horde import uploads
from compute_horde.django.database import in_database
from compute_horde.faults import Culprit
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import (
    ExecutionDone,
    JobFinished,
    JobPayload,
    StreamingReady,
    VolumesReady,
)
from compute_horde.protocol.message import Message
from tests.peers import llm_executor
from tests.peers.keys import VALIDATOR
from tests.peers.llm_miner import LlmMiner, StreamingLlmMiner
from tests.validator.synthetic.test_batch_run import batch
from validator.config import Config
from validator.llm.answering import answer
from validator.llm.generation import generate
from validator.llm.models import PromptSample
from validator.llm.programs.answer_file import digest
from validator.llm.samples import StoredSamples, pending_count, ready_count
from validator.llm.trusted_work import PipelineTools
from validator.llm.workloads import make_workloads
from validator.synthetic import attempts
from validator.synthetic.attempts import Attempt
from validator.synthetic.confirmation import confirm_all
from validator.synthetic.kinds.kind import BatchFacts, DeclaredExecutor
from validator.synthetic.kinds.llm_kind import LlmKind, LlmParameters
from validator.synthetic.outcomes import Outcome

pytestmark = pytest.mark.django_db(transaction=True)

TEST = ExecutorClass.always_on__test


def fill(tools: PipelineTools) -> None:
    assert "3 series made" in generate(tools)
    assert "3 samples made" in make_workloads(tools)
    assert (ready_count(), pending_count()) == (0, 3)
    assert "2 workloads answered, 0 left" in answer(tools)
    assert (ready_count(), pending_count()) == (3, 0)


async def run(
    miner: LlmMiner, config: Config, tools: PipelineTools, count: int = 1, **parameters: Any
) -> list[Attempt]:
    """A batch of the kind over one miner's executors, checked to the end."""
    await in_database(fill, tools)
    kind = LlmKind(LlmParameters(**parameters))
    executors = [DeclaredExecutor(miner.hotkey, TEST, n, f"seed {n}") for n in range(count)]
    facts = BatchFacts("seed", "us", 1, StoredSamples(config), config.reach)
    jobs = (await kind.prepare(facts, executors)).jobs
    made = [
        Attempt(job, kind, attempts.request(job, f"00000000-0000-0000-0000-{n:012}"))
        for n, job in enumerate(jobs)
    ]
    async with batch(miner) as held:
        await held.run_all(made)
        await confirm_all(made, VALIDATOR)
    return made


async def test_an_honest_miner_earns_its_points(llm_config: Config, tools: PipelineTools) -> None:
    made = await run(LlmMiner(), llm_config, tools, count=2)
    assert [(one.outcome, one.reason) for one in made] == [(Outcome.CORRECT, "right")] * 2
