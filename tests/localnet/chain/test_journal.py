"""The chain on disk: announced blocks survive every kind of restart."""

import json
from pathlib import Path

import pytest

from compute_horde.errors import ConfigurationError
from localnet.chain.journal import Journal
from localnet.chain.runtime import LocalRuntime
from tests.localnet.chain.workbench import NETUID, TAO, Workbench, key


def opened(runtime: LocalRuntime, path: Path, kept: int = 1000) -> tuple[Workbench, Journal]:
    journal = Journal(path, runtime.genesis_hash, NETUID)
    return Workbench(runtime, journal, kept), journal


def contents(bench: Workbench, first: int = 0) -> list[object]:
    blocks = bench.node.blocks
    return [
        (blocks.block(number), blocks.state.snapshot_at(number))
        for number in range(first, bench.number + 1)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "chain"


def test_a_restarted_chain_continues(runtime: LocalRuntime, path: Path) -> None:
    before, journal = opened(runtime, path)
    before.neuron("a", TAO)
    assert (
        before.do("a", "set_weights", netuid=NETUID, dests=[0], weights=[1], version_key=0) is None
    )
    journal.close()
    after, journal = opened(runtime, path)
    assert contents(after) == contents(before)
    assert after.node.next_nonce(key("a").ss58_address) == 1
    after.advance(1)
    assert after.number == before.number + 1
    journal.close()


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_an_incomplete_last_line_is_discarded(runtime: LocalRuntime, path: Path, cut: int) -> None:
    before, journal = opened(runtime, path)
    before.advance(3)
    journal.close()
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    path.write_bytes(whole[: min(len(whole) - 1, last + cut)])

    after, journal = opened(runtime, path)
    assert after.number == before.number - 1
    after.advance(2)
    journal.close()
    again, journal = opened(runtime, path)
    assert contents(again) == contents(after)
    journal.close()


def test_old_blocks_are_replaced_by_a_snapshot(runtime: LocalRuntime, path: Path) -> None:
    before, journal = opened(runtime, path, kept=5)
    before.neuron("a", TAO)
    before.advance(200)
    size = path.stat().st_size
    assert len(path.read_bytes().splitlines()) <= 2 * 5 + 2
    first = before.number - 5
    assert before.node.blocks.hash_of(1) is not None
    journal.close()

    after, journal = opened(runtime, path, kept=5)
    assert contents(after, first) == contents(before, first)
    hashes = [after.node.blocks.hash_of(number) for number in range(after.number + 1)]
    assert hashes == [before.node.blocks.hash_of(number) for number in range(before.number + 1)]
    after.advance(200)
    assert path.stat().st_size < size + 200 * 64 + 2000
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    journal.close()


def test_a_crash_during_the_replacement_leaves_the_old_file(
    runtime: LocalRuntime, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, journal = opened(runtime, path, kept=5)
    before.advance(9)

    def crash(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            before.advance(1)
    journal.close()
    after, journal = opened(runtime, path, kept=5)
    assert after.number == 10
    after.advance(30)
    journal.close()


def test_one_file_serves_one_process(runtime: LocalRuntime, path: Path) -> None:
    _, journal = opened(runtime, path)
    with pytest.raises(ConfigurationError, match="another process"):
        Journal(path, runtime.genesis_hash, NETUID)
    journal.close()


def test_another_chains_file_is_refused(runtime: LocalRuntime, path: Path) -> None:
    _, journal = opened(runtime, path)
    journal.close()
    for genesis, netuid in ((bytes(32), NETUID), (runtime.genesis_hash, NETUID + 1)):
        other = Journal(path, genesis, netuid)
        with pytest.raises(ConfigurationError, match="belongs to another chain"):
            list(other.entries())
        other.close()


@pytest.mark.parametrize("line", [b"rubbish\n", b"[1]\n", b"\xff\xfe\n"])
def test_a_damaged_file_is_an_error_with_its_line(
    runtime: LocalRuntime, path: Path, line: bytes
) -> None:
    _, journal = opened(runtime, path)
    journal.close()
    path.write_bytes(path.read_bytes() + line)
    damaged = Journal(path, runtime.genesis_hash, NETUID)
    with pytest.raises(ConfigurationError, match="line 3"):
        list(damaged.entries())
    damaged.close()


def test_a_block_that_cannot_be_written_ends_the_process(
    runtime: LocalRuntime, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, journal = opened(runtime, path)
    before = len(bench.listener.blocks)

    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("localnet.chain.journal.os.write", full)
        with pytest.raises(SystemExit, match="No space left"):
            bench.advance(1)
    assert len(bench.listener.blocks) == before
    journal.close()


def test_without_a_path_nothing_is_stored(runtime: LocalRuntime) -> None:
    journal = Journal(None, runtime.genesis_hash, NETUID)
    Workbench(runtime, journal, kept=2).advance(20)
    assert list(journal.entries()) == []
    journal.close()


def test_every_line_is_json(runtime: LocalRuntime, path: Path) -> None:
    bench, journal = opened(runtime, path, kept=3)
    bench.advance(10)
    journal.close()
    lines = path.read_bytes().splitlines()
    assert lines
    for line in lines:
        json.loads(line)
