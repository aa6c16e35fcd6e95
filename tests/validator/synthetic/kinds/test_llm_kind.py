"""The kind `llm`: its jobs, and its verdicts."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import StreamingReady
from compute_horde.uploads import FilePut
from compute_horde.volumes import HuggingfaceVolume, MultiVolume, SingleFileVolume
from tests.peers.miner import result
from validator.llm.programs.answer_file import answers_text, digest
from validator.llm.sample import CheckedPrompt, LlmSample, TakenSamples, Taker
from validator.synthetic.kinds import llm_kind
from validator.synthetic.kinds.answer_download import NoAnswersError
from validator.synthetic.kinds.kind import BatchFacts, DeclaredExecutor, PreparedJob
from validator.synthetic.kinds.llm_kind import LlmKind, LlmParameters
from validator.synthetic.kinds.seed_delivery import SeedError

UUID = "00000000-0000-0000-0000-000000000001"
EXECUTORS = [
    DeclaredExecutor("5Miner", ExecutorClass.always_on__test, number, f"seed {number}")
    for number in range(3)
]
CHECKED = (CheckedPrompt("p1", "a1", []), CheckedPrompt("p2", "a2", []))
ANSWERS = answers_text({"p0": "a0", "p1": "a1", "p2": "a2"})


class Samples:
    """A source of some samples."""

    def __init__(self, count: int = 9, **fields: Any) -> None:
        self.count, self.fields, self.takers = count, fields, list[Taker]()

    async def take(self, takers: Sequence[Taker], link_seconds: int) -> TakenSamples:
        self.takers += takers
        self.link_seconds = link_seconds
        most = min(self.count, len(takers))
        shortage = "too few" if most < len(takers) else ""
        return TakenSamples([self.sample(number) for number in range(most)], shortage)

    def sample(self, number: int) -> LlmSample:
        given: dict[str, Any] = {
            "name": f"prompts_{number}",
            "seed": 100 + number,
            "image": "solver:1",
            "arguments": ["--x=1"],
            "weights": None,
            "prompts_url": f"http://s3/{number}.txt",
            "upload_url": f"http://s3/{number}",
            "download_url": f"http://s3/{number}?get",
            "checked": CHECKED,
            "is_deterministic": True,
        }
        return LlmSample(**(given | self.fields))


def facts(samples: Samples | None) -> BatchFacts:
    return BatchFacts("seed", "us", 1, samples)


async def made(samples: Samples | None = None, **parameters: Any) -> tuple[LlmKind, PreparedJob]:
    kind = LlmKind(LlmParameters(**parameters))
    jobs = (await kind.prepare(facts(samples or Samples()), EXECUTORS[:1])).jobs
    return kind, jobs[0]


def downloading(monkeypatch: pytest.MonkeyPatch, content: bytes | Exception) -> None:
    async def download(url: str) -> bytes:
        assert url == "http://s3/0?get"
        if isinstance(content, Exception):
            raise content
        return content

    monkeypatch.setattr(llm_kind, "download", download)


async def test_each_executor_has_a_sample_of_its_own() -> None:
    samples = Samples(2)
    kind = LlmKind(LlmParameters())
    preparation = await kind.prepare(facts(samples), EXECUTORS)
    assert [job.executor for job in preparation.jobs] == EXECUTORS[:2]
    assert preparation.shortage == "too few"
    assert samples.takers == [Taker("5Miner", f"seed {number}") for number in range(3)]
    first, second = preparation.jobs
    assert first.volume == SingleFileVolume(url="http://s3/0.txt", relative_path="prompts_0.txt")
    assert list(second.args) == ["--x=1", "--seed=101", "/volume/prompts_1.txt"]
    assert second.output_upload == FilePut(url="http://s3/1", relative_path="prompts_1.json")
    assert second.image == "solver:1"


async def test_the_answers_are_not_sent() -> None:
    _, job = await made()
    for text in ("a1", "p1", "?get"):
        assert text not in f"{job.volume} {job.args} {job.env} {job.output_upload}"


async def test_weights_are_one_more_volume() -> None:
    weights = HuggingfaceVolume(repo_id="org/model")
    _, job = await made(Samples(weights=weights))
    assert isinstance(job.volume, MultiVolume)
    assert job.volume.volumes[1] == weights.model_copy(update={"relative_path": "weights"})


async def test_without_samples_there_are_no_jobs() -> None:
    preparation = await LlmKind(LlmParameters()).prepare(facts(None), EXECUTORS)
    assert (preparation.jobs, preparation.shortage) == ([], "this batch has no samples")


async def test_links_must_be_valid_for_all_of_the_batch() -> None:
    samples = Samples()
    await made(samples, seconds=100)
    assert samples.link_seconds == 2 * (30 + 100 + 30) + 900


@pytest.mark.parametrize(
    ("content", "points", "reason"),
    [
        (ANSWERS, 1, "right"),
        (answers_text({"p1": "a1", "p2": "x"}), 0, "1 of 2 checked answers are wrong"),
        (answers_text({"p1": "a1"}), 0, "1 checked prompts have no answer"),
        (b"[]", 0, "the file of answers: it is no JSON object"),
        (NoAnswersError("no answers were uploaded"), 0, "no answers were uploaded"),
    ],
)
async def test_answers_are_compared_after_their_hash(
    content: bytes | Exception, points: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, job = await made()
    downloading(monkeypatch, content)
    hashed = digest(content) if isinstance(content, bytes) else "0" * 64
    provisional = kind.verify(job, result(UUID, f"{hashed}\n"), 9.0)
    assert provisional.points == 1
    verdict = await kind.confirm(job, provisional)
    assert (verdict.points, verdict.reason) == (points, reason)
    assert verdict.metrics["seconds"] == 9.0


async def test_other_answers_than_those_hashed_earn_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, job = await made()
    downloading(monkeypatch, ANSWERS)
    verdict = await kind.confirm(job, kind.verify(job, result(UUID, "0" * 64), 9.0))
    assert (verdict.points, verdict.reason) == (0, "the answers are not those hashed")


@pytest.mark.parametrize("stdout", ["", "right", "A" * 64, "0" * 65])
async def test_a_result_without_a_hash_earns_nothing(stdout: str) -> None:
    kind, job = await made()
    assert kind.verify(job, result(UUID, stdout), 9.0).points == 0


@pytest.mark.parametrize(
    ("comparison", "is_deterministic", "is_right"),
    [
        ("declared", True, False),
        ("declared", False, True),
        ("exact", False, False),
        ("tolerant", True, True),
    ],
)
async def test_an_image_that_is_not_deterministic_is_compared_with_tolerance(
    comparison: str, is_deterministic: bool, is_right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = [CheckedPrompt("p1", " a", [[(" a", 0.0), (" b", 0.02)]])]
    samples = Samples(checked=checked, is_deterministic=is_deterministic)
    kind, job = await made(samples, comparison=comparison)
    content = answers_text({"p1": " b"})
    downloading(monkeypatch, content)
    verdict = await kind.confirm(job, kind.verify(job, result(UUID, digest(content)), 9.0))
    assert bool(verdict.points) is is_right
    assert verdict.metrics["checked_prompts"] == 1


async def test_a_streaming_job_gets_the_seed_late_and_its_hash_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, job = await made(form="streaming", seconds=30, start_seconds=7)
    assert list(job.args) == ["--x=1", "--server", "/volume/prompts_0.txt"]
    assert job.streaming_details is not None
    assert "BEGIN CERTIFICATE" in job.streaming_details.public_key
    limits = job.limits
    assert (limits.execution, limits.streaming_start) == (7 + 30 + 5, 300)
    assert kind.verify(job, result(UUID, "0" * 64), 9.0).reason == "the seed was not asked for"
    given: list[object] = []

    async def deliver_seed(client: object, seed: int, seconds: float) -> str:
        given.extend([seed, seconds])
        return digest(ANSWERS)

    monkeypatch.setattr(llm_kind, "deliver_seed", deliver_seed)
    monkeypatch.setattr(llm_kind, "terminate", lambda client: made())
    server = StreamingReady(job_uuid=UUID, public_key=kind._identity.pem, ip="1.1.1.1", port=1)
    await kind.drive(job, server, 2)
    assert given == [100, 2 * 30 + 5]
    provisional = kind.verify(job, result(UUID, ""), 9.0)
    assert (provisional.points, provisional.reason) == (1, digest(ANSWERS))
    assert provisional.metrics["answering_seconds"] >= 0


async def test_a_streaming_job_that_does_not_answer_earns_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, job = await made(form="streaming")

    async def deliver_seed(client: object, seed: int, seconds: float) -> str:
        raise SeedError("no hash within 35 s of the seed")

    monkeypatch.setattr(llm_kind, "deliver_seed", deliver_seed)
    server = StreamingReady(job_uuid=UUID, public_key=kind._identity.pem, ip="1.1.1.1", port=1)
    await kind.drive(job, server, 1)
    verdict = kind.verify(job, result(UUID, ""), 9.0)
    assert (verdict.points, verdict.reason) == (0, "no hash within 35 s of the seed")


@pytest.mark.parametrize("wrong", [{"form": "x"}, {"seconds": 0}, {"image": "x"}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LlmParameters(**wrong)


async def test_what_the_class_promises_is_noted_with_the_time() -> None:
    found = []
    for given in (None, 2.5):
        kind, job = await made(promised_seconds=given)
        found.append(kind.verify(job, result(UUID, "0" * 64), 1.5).metrics)
    assert found == [{"seconds": 1.5}, {"seconds": 1.5, "promised": 2.5}]
