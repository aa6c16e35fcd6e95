"""From prompts to points: the programs are real, the buckets too, and miners cheat."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from compute_horde.django.database import in_database
from compute_horde.faults import Culprit
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import JobOffered, JobPayload
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.uploads import FilePut
from tests.peers import llm_executor
from tests.peers.keys import VALIDATOR
from tests.peers.llm_miner import LlmMiner, StreamingLlmMiner, honest
from tests.peers.websocket_server import serving
from tests.validator.conftest import address, configured
from tests.validator.llm.conftest import settings
from validator.config import Config
from validator.llm.answering import answer
from validator.llm.buckets import open_buckets
from validator.llm.generation import generate
from validator.llm.programs.answer_file import MAX_BYTES, answers_text, digest, read_answers
from validator.llm.samples import StoredSamples, pending_count, ready_count
from validator.llm.trusted_work import PipelineTools
from validator.llm.workloads import make_workloads
from validator.synthetic import attempts
from validator.synthetic.attempts import Attempt
from validator.synthetic.batch_run import BatchRun, RunSettings
from validator.synthetic.confirmation import confirm_all
from validator.synthetic.kinds import llm_kind
from validator.synthetic.kinds.kind import BatchFacts, DeclaredExecutor
from validator.synthetic.kinds.llm_kind import LlmKind, LlmParameters
from validator.synthetic.outcomes import Outcome

pytestmark = pytest.mark.django_db(transaction=True)

TEST = ExecutorClass.always_on__test


def filled(config: Config) -> None:
    """Run the steps of the pipeline until all samples are ready."""
    tools = PipelineTools(config.llm, open_buckets(config.bucket_access), llm_executor.run_trusted)
    wanted = config.llm.ready_samples
    assert "series made" in generate(tools)
    assert f"{wanted} samples made" in make_workloads(tools)
    assert (ready_count(), pending_count()) == (0, wanted)
    assert "workloads answered, 0 left" in answer(tools)
    assert (ready_count(), pending_count()) == (wanted, 0)


async def prepared(
    config: Config, hotkey: str, first: int, count: int, **parameters: Any
) -> list[Attempt]:
    kind = LlmKind(LlmParameters(**parameters))
    numbers = range(first, first + count)
    executors = [DeclaredExecutor(hotkey, TEST, number, f"seed {number}") for number in numbers]
    facts = BatchFacts("seed", "us", 1, StoredSamples(config), config.reach)
    preparation = await kind.prepare(facts, executors)
    assert not preparation.shortage
    return [
        Attempt(job, kind, attempts.request(job, f"00000000-0000-0000-0000-{number:012}"))
        for number, job in zip(numbers, preparation.jobs, strict=True)
    ]


@asynccontextmanager
async def ran(miner: LlmMiner, made: list[Attempt]) -> AsyncIterator[BatchRun]:
    """A batch of these attempts, run to its end and checked."""
    timing = configured(reservation_seconds=9, startup_seconds=0, leeway_seconds=0).timing
    async with serving(miner):
        run = BatchRun(RunSettings(VALIDATOR, timing, 10, 0), [address(miner)])
        try:
            await run.connect()
            await run.run_all(made)
            await confirm_all(made, VALIDATOR)
            yield run
        finally:
            await run.close()


def with_one_changed(config: Config, *, hashed: bool):
    """An executor that changes an answer before, or after, they are hashed."""
    bucket = open_buckets(config.bucket_access).answers

    def work(offer: JobOffered, payload: JobPayload) -> str:
        printed = honest(offer, payload)
        assert isinstance(payload.output_upload, FilePut)
        url = payload.output_upload.url
        key = urlsplit(url).path.removeprefix(f"/{bucket.name}/")
        answers = read_answers(bucket.get(key, MAX_BYTES))
        answers[list(answers)[-1]] += "."
        content = answers_text(answers)
        httpx.put(url, content=content).raise_for_status()
        return digest(content) if hashed else printed

    return work


def another_seed(offer: JobOffered, payload: JobPayload) -> str:
    args = [one if "--seed=" not in one else "--seed=7" for one in payload.docker_run_cmd]
    return honest(offer, payload.model_copy(update={"docker_run_cmd": args}))


def not_uploaded(offer: JobOffered, payload: JobPayload) -> str:
    return honest(offer, payload.model_copy(update={"output_upload": None}))


async def test_honest_answers_earn_a_point_and_others_none(s3: str) -> None:
    config = settings(s3, series_per_run=6, most_series=6, ready_samples=6)
    await in_database(filled, config)
    cheats = (
        another_seed,
        with_one_changed(config, hashed=True),
        with_one_changed(config, hashed=False),
        not_uploaded,
    )
    miner = LlmMiner(honest, *cheats, None)
    made = await prepared(config, miner.hotkey, 0, 5)
    late = {"seconds": 1, "download_seconds": 1, "upload_seconds": 1}
    made += await prepared(config, miner.hotkey, 5, 1, **late)
    async with ran(miner, made) as run:
        await run.send_receipts(made)
        await miner.receives(FinishedReceiptIssued, 6)
    assert "of 4 checked answers are wrong" in made[1].reason
    assert [(one.outcome, one.reason) for one in made] == [
        (Outcome.CORRECT, "right"),
        (Outcome.WRONG_ANSWER, made[1].reason),
        (Outcome.WRONG_ANSWER, "1 of 4 checked answers are wrong"),
        (Outcome.WRONG_ANSWER, "the answers are not those hashed"),
        (Outcome.WRONG_ANSWER, "no answers were uploaded"),
        (Outcome.TOO_LATE, made[5].reason),
    ]
    assert [one.points for one in made] == [1, 0, 0, 0, 0, 0]
    assert [one.blamed for one in made] == [Culprit.NOBODY, *[Culprit.MINER] * 5]
    sent = {one.payload.job_uuid: one.payload for one in miner.all(FinishedReceiptIssued)}
    scores = [sent[one.request.uuid].score_str for one in made]
    assert scores == ["1.000000", *["0.000000"] * 5]


async def test_in_the_streaming_form_the_seed_comes_at_the_start_signal(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm_kind, "HTTP_LEEWAY_SECONDS", 0)
    config = settings(s3, series_per_run=3, most_series=3, ready_samples=3)
    await in_database(filled, config)
    miner = StreamingLlmMiner((), (), ("--quantize=int4",))
    made = await prepared(config, miner.hotkey, 0, 3, form="streaming", seconds=30)
    assert not any("--seed" in argument for one in made for argument in one.prepared.args)
    async with ran(miner, made):
        pass
    right, wrong = Outcome.CORRECT, Outcome.WRONG_ANSWER
    assert [one.outcome for one in made] == [right, right, wrong]
    assert [one.points for one in made] == [1, 1, 0]
    assert "checked answers are wrong" in made[2].reason
    assert all(0 < one.metrics["answering_seconds"] < 30 for one in made)
