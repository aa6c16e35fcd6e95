"""What every kind of synthetic job must do that makes its jobs itself and prints their answers."""

import pytest

from compute_horde.hardware import ExecutorClass
from tests.peers.miner import result
from validator.synthetic.kinds.choices import KINDS
from validator.synthetic.kinds.kind import BatchFacts, DeclaredExecutor, Kind

FACTS = BatchFacts("seed", "validator", 1)
UUID = "00000000-0000-0000-0000-000000000001"
EXECUTORS = [
    DeclaredExecutor("5Miner", ExecutorClass.always_on__test, number, f"seed {number}")
    for number in range(3)
]


@pytest.fixture(params=sorted(KINDS.keys() - {"llm"}))
def kind(request: pytest.FixtureRequest) -> Kind:
    plugin = KINDS[request.param]
    made: Kind = plugin(plugin.Parameters())
    return made


async def test_each_executor_gets_a_job_of_its_own(kind: Kind) -> None:
    preparation = await kind.prepare(FACTS, EXECUTORS)
    assert preparation.shortage == ""
    assert [job.executor for job in preparation.jobs] == EXECUTORS
    assert len({job.expected for job in preparation.jobs}) == 3
    assert KINDS.keys() >= {job.kind for job in preparation.jobs}


async def test_only_the_expected_answer_earns_a_point(kind: Kind) -> None:
    first, second, _ = (await kind.prepare(FACTS, EXECUTORS)).jobs
    for stdout, points in ((first.expected, 1), (second.expected, 0), ("", 0), ("a guess", 0)):
        verdict = kind.verify(first, result(UUID, stdout), 1.0)
        assert (verdict.points, bool(verdict.reason)) == (points, True)


async def test_the_answer_is_not_sent_before_the_executor_is_ready(kind: Kind) -> None:
    for job in (await kind.prepare(FACTS, EXECUTORS)).jobs:
        assert job.expected not in (job.volume.model_dump_json() if job.volume else "")
