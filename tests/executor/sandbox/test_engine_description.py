"""The description of an engine: read once a minute, never taken for another engine's."""

import json

import pytest

from compute_horde.errors import ContainerError
from executor.sandbox import engine_description
from executor.sandbox.engine import Engine
from executor.sandbox.engine_description import EngineDescription, remembered

DESCRIPTION = EngineDescription({"runc": "1.2.3"}, ["name=seccomp"], {"runc": "runc"}, "runc")


class Described:
    """Counts how often the engine was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked = 0
        self.error = error

    async def __call__(self) -> EngineDescription:
        self.asked += 1
        if self.error:
            raise self.error
        return DESCRIPTION


async def test_an_engine_is_asked_once_for_all_executors(tmp_path):
    file, engine = tmp_path / "engine.json", Described()
    for _ in range(3):
        assert await remembered(file, "unix:///a", engine) == DESCRIPTION
    assert engine.asked == 1
    assert [one.name for one in tmp_path.iterdir()] == ["engine.json"]
    # Without a file, nothing is remembered.
    await remembered(None, "unix:///a", engine)
    assert engine.asked == 2


@pytest.mark.parametrize("change", ["url", "boot", "old", "future", "broken", "list", "foreign"])
async def test_what_may_not_be_true_any_more_is_asked_again(tmp_path, monkeypatch, change):
    file, engine, url = tmp_path / "engine.json", Described(), "unix:///a"
    await remembered(file, url, engine)
    kept = json.loads(file.read_bytes())
    match change:
        case "url":
            url = "unix:///b"
        case "boot":
            kept["about"][0] = "another"
        case "old":
            kept["read_at"] -= engine_description.VALID_SECONDS
        case "future":
            kept["read_at"] += 10.0
        case "foreign":
            kept["description"]["more"] = 1
    text = {"broken": "{", "list": "[]"}.get(change) or json.dumps(kept)
    file.write_text(text)
    assert await remembered(file, url, engine) == DESCRIPTION
    assert engine.asked == 2
    assert await remembered(file, url, engine) == DESCRIPTION
    assert engine.asked == 2


async def test_a_folder_that_cannot_be_written_to_costs_nothing_but_time(tmp_path):
    engine = Described()
    for _ in range(2):
        assert await remembered(tmp_path / "none" / "engine.json", "", engine) == DESCRIPTION
    assert engine.asked == 2


async def test_a_failure_is_not_remembered(tmp_path):
    file, failing = tmp_path / "engine.json", Described(ContainerError("gone"))
    with pytest.raises(ContainerError):
        await remembered(file, "", failing)
    assert await remembered(file, "", Described()) == DESCRIPTION


def test_versions_are_those_of_the_distribution_where_it_names_them():
    answer = {
        "Components": [
            {"Name": "runc", "Version": "1.1.4", "Details": {"GitCommit": "1.1.4+ds1-1+b1"}},
            {"Name": "Engine", "Version": "20.10.24", "Details": {"GitCommit": "5d6db84"}},
            {"Name": "bare", "Version": "1"},
        ]
    }
    found = EngineDescription.parse(answer, {"Runtimes": {"runc": {"path": "runc"}, "odd": None}})
    assert found.components["runc"] == "1.1.4+ds1-1+b1"
    assert found.components["bare"] == "1"
    assert found.runtimes == {"odd": "", "runc": "runc"}


@pytest.mark.docker
async def test_this_engine_is_described_alike_with_and_without_a_file(tmp_path):
    file = tmp_path / "engine.json"
    async with await Engine.connect(None) as asked, await Engine.connect(None, file) as first:
        for one in (first, await Engine.connect(None, file)):
            async with one as engine:
                assert await engine.components() == await asked.components()
                assert await engine.default_runtime() == await asked.default_runtime()
                assert engine.docker.api_version == asked.docker.api_version != "auto"
