"""Of several nodes, the first that is up and not behind is used."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute_horde.adapters.chain import ChainUnreachable, connect
from localnet.chain.__main__ import ON_DEMAND_SLOT_MILLISECONDS
from localnet.chain.admin import administer
from localnet.chain.runtime import LocalRuntime
from localnet.chain.scale import uint
from localnet.chain.testing import RunningChain, running
from tests.compute_horde.adapters.conftest import NETUID

NO_NODE = "ws://127.0.0.1:1"
DAY = 86_400


@pytest.fixture
def nodes() -> Iterator[tuple[RunningChain, RunningChain]]:
    with running() as first, running() as second:
        yield first, second


def advance(node: RunningChain, blocks: int) -> None:
    with administer(node.url) as admin:
        admin.advance(blocks)


def test_a_node_that_is_down_is_passed_over_and_named(
    local_chain: RunningChain, caplog: pytest.LogCaptureFixture
) -> None:
    advance(local_chain, 1)
    with connect([NO_NODE + "/secret", local_chain.url], NETUID, timeout_seconds=20) as chain:
        assert chain.head() >= 1
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["node"]) == ("chain node is not usable", NO_NODE)


@pytest.fixture
def node_behind(tmp_path: Path) -> Iterator[RunningChain]:
    """A node whose newest block is a day old: the time in its state file is changed."""
    state = tmp_path / "chain"
    with running(state=state) as one:
        advance(one, 7)
        assert one.stop() == 0
    key = LocalRuntime(ON_DEMAND_SLOT_MILLISECONDS).key("Timestamp", "Now", ()).hex()
    yesterday = uint(int((time.time() - DAY) * 1000), 64).hex()
    text = state.read_text()
    assert key in text
    state.write_text(re.sub(f'"{key}":"[0-9a-f]+"', f'"{key}":"{yesterday}"', text))
    with running(state=state) as again:
        yield again


def test_a_node_that_is_behind_is_passed_over(
    node_behind: RunningChain, local_chain: RunningChain, caplog: pytest.LogCaptureFixture
) -> None:
    advance(local_chain, 1)
    urls = f"{node_behind.url}, {local_chain.url}"
    with (
        connect(urls, NETUID, head_age_seconds=DAY / 2) as chain,
        connect(local_chain.url, NETUID) as expected,
    ):
        assert chain.block_hash(1) == expected.block_hash(1)
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["node"]) == ("chain node is behind", node_behind.url)


def test_where_all_are_behind_the_newest_is_used(
    nodes: tuple[RunningChain, RunningChain], caplog: pytest.LogCaptureFixture
) -> None:
    newer, older = nodes
    advance(older, 2)
    advance(newer, 5)
    with connect([older.url, newer.url], NETUID, head_age_seconds=-1) as chain:
        assert chain.head() == 5
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["chain node is behind"] * 2 + [
        "every chain node is behind; using the newest"
    ]


def test_a_single_node_is_taken_as_it_is(local_chain: RunningChain) -> None:
    with connect(local_chain.url, NETUID, head_age_seconds=-1) as chain:
        assert chain.head() >= 0


def test_where_none_is_up_the_last_problem_is_raised() -> None:
    with (
        pytest.raises(ChainUnreachable, match="cannot be reached"),
        connect([NO_NODE, NO_NODE], NETUID, timeout_seconds=20),
    ):
        pass
