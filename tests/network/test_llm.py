"""From prompts to points in a network: a trusted miner, buckets, and both forms of the jobs."""

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from localnet import llm_images, network_lifecycle
from localnet.network_dir import NetworkDir
from tests.network.running import Running, until
from tests.peers import s3_server

LLM = {
    "executor_class": "always_on.test",
    "prompts_per_series": 4,
    "prompt_tokens": 4,
    "series_per_run": 4,
    "most_series": 4,
    "ready_samples": 4,
    "checked_prompts": 4,
    "answer_tokens": 6,
    "task_seconds": 6,
    "sampling_seconds": 6,
}
KINDS = {
    "always_on.test": [
        {"kind": "llm", "parameters": {"form": "buffered"}},
        {"kind": "llm", "parameters": {"form": "streaming"}},
        {"kind": "hash"},
    ]
}
SETTINGS = {
    "chain": {"TEMPO": 11},
    "validator": {
        "BATCH_KINDS": json.dumps(KINDS),
        "LLM": json.dumps(LLM),
        "MISSED_PEAK_EXECUTORS": '{"always_on.test": 2}',
        "NON_PEAK_RATIO": "1",
    },
    "miner": {
        "EXECUTORS": '{"always_on.test": 2}',
        "STREAMING_IMAGES": json.dumps([llm_images.SOLVER]),
    },
    "miner-trusted": {"EXECUTORS": '{"always_on.test": 1}'},
}


@pytest.fixture(scope="module")
def benchmarking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A network of short cycles whose validator tests executors by prompts."""
    home = NetworkDir.at(tmp_path_factory.mktemp("benchmarking"))
    (home.path / "settings.json").write_text(json.dumps(SETTINGS))
    llm_images.build()
    with s3_server.running() as address, pytest.MonkeyPatch.context() as around:
        for name, value in (s3_server.ENVIRONMENT | {"AWS_ENDPOINT_URL": address}).items():
            around.setenv(name, value)
        network_lifecycle.up(home, miners=1, has_trusted_miner=True, only=[], on_progress=print)
        with closing(Running(home)) as running:
            yield running
        network_lifecycle.down(home)


async def test_answers_to_prompts_of_the_trusted_miner_earn_points(benchmarking: Running) -> None:
    query = (
        "SELECT job.spec LIKE '%%--server%%', bool_and(puzzle.points = 1), min(puzzle.verdict)"
        " FROM synthetic_puzzle puzzle JOIN jobs_job job ON job.uuid = puzzle.job_id"
        " WHERE puzzle.kind = 'llm' AND puzzle.outcome <> 'open' GROUP BY 1 ORDER BY 1"
    )
    await until(
        lambda: len(benchmarking.rows("validator", query)) == 2, "both forms ended", seconds=200
    )
    assert benchmarking.rows("validator", query) == [
        (False, True, "right"),
        (True, True, "right"),
    ]
    used = "SELECT count(*), count(DISTINCT attempt_seed) FROM llm_promptsample WHERE hotkey <> ''"
    [(samples, attempts)] = benchmarking.rows("validator", used)
    assert samples == attempts >= 2
    steps = benchmarking.rows("validator", "SELECT name, is_ok FROM llm_pipelinestep ORDER BY 1")
    assert steps == [("answering", True), ("generation", True), ("sampling", True)]
