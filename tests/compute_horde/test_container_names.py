"""No container of ours has a name that a published executor on the same host kills."""

import ast
import re
from pathlib import Path

import pytest

from compute_horde import container_names

ROOT = Path(__file__).resolve().parents[2]
# What the published executor kills, and the networks it removes, before each job.
KILLED = re.compile(r"ch-.*")
# Folders of the file system, and clusters of another program: no names of containers.
NOT_CONTAINERS = {
    "compute_horde_sdk/fallback/sky.py",
    "executor/cleanup.py",
    "executor/sandbox/workdir.py",
}


@pytest.mark.parametrize(
    "named",
    [
        container_names.executor_container,
        container_names.job_container,
        container_names.relay_container,
        container_names.sweeper_container,
    ],
)
def test_no_container_is_killed_by_a_published_executor_on_the_same_host(named) -> None:
    assert not KILLED.match(named("0123456789abcdef"))


def literals(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_containers_get_their_names_in_one_place() -> None:
    named = {
        str(path.relative_to(ROOT))
        for package in ("executor", "miner", "localnet", "compute_horde_sdk")
        for path in (ROOT / package).rglob("*.py")
        if any(re.match(r"ch-($|\*|sweep)", text) for text in literals(path))
    }
    assert named <= NOT_CONTAINERS
