"""Each upgrade has a version of its own, and does to the SDK what its kind says."""

from pathlib import Path

import bittensor
import pytest

from localnet.chain.admin import administer
from localnet.chain.runtime import LocalRuntime, runtime_of
from localnet.chain.testing import running
from localnet.chain.upgrades import KINDS, SPEC_VERSION, UpgradeKind, kind_of, next_version
from tests.localnet.chain.workbench import NETUID, OWNER, key


def test_a_version_says_of_which_kind_the_last_upgrade_was() -> None:
    assert kind_of(SPEC_VERSION) is None
    version = SPEC_VERSION
    for kind in (*KINDS, *reversed(KINDS)):
        before, version = version, next_version(version, kind)
        assert version > before
        assert kind_of(version) is kind


def test_every_upgrade_adds_an_item(runtime: LocalRuntime) -> None:
    twice = next_version(next_version(SPEC_VERSION, UpgradeKind.READABLE), UpgradeKind.READABLE)
    upgraded = runtime_of(runtime.slot_milliseconds, twice)
    assert upgraded.decode("Local", "AddedByUpgrade2", None) == 2
    assert upgraded.genesis_hash == runtime.genesis_hash
    assert upgraded.metadata != runtime.metadata
    with pytest.raises(KeyError, match="AddedByUpgrade1"):
        runtime.decode("Local", "AddedByUpgrade1", None)


async def test_the_sdk_reads_what_a_readable_upgrade_added() -> None:
    with running() as chain, administer(chain.url) as admin:
        admin.add_neuron(key("a").ss58_address, OWNER)
        assert admin.upgrade_runtime("readable") == SPEC_VERSION + 3
        admin.advance()
        async with bittensor.Subtensor(chain.url) as sdk:
            assert await sdk.query(("Local", "AddedByUpgrade1")) == 1
            assert len((await sdk.subnets.metagraph(NETUID)).neurons) == 1


async def test_the_sdk_misreads_another_metagraph() -> None:
    with running() as chain, administer(chain.url) as admin:
        admin.add_neuron(key("a").ss58_address, OWNER)
        admin.upgrade_runtime("metagraph")
        admin.advance()
        async with bittensor.Subtensor(chain.url) as sdk:
            assert await sdk.query(bittensor.storage.SubtensorModule.SubnetworkN, [NETUID]) == 1
            try:
                graph = await sdk.read("metagraph", netuid=NETUID)
            except ValueError:
                return
            assert graph["netuid"] != NETUID


async def test_the_sdk_cannot_connect_to_unknown_metadata() -> None:
    with running() as chain, administer(chain.url) as admin:
        admin.upgrade_runtime("metadata")
        admin.advance()
        with pytest.raises(Exception, match=r"(?i)metadata|version"):
            async with bittensor.Subtensor(chain.url) as sdk:
                await sdk.read("metagraph", netuid=NETUID)


def test_an_upgraded_chain_starts_again(tmp_path: Path) -> None:
    state = tmp_path / "chain"
    with running(state=state) as first, administer(first.url) as admin:
        version = admin.upgrade_runtime("readable")
        assert first.stop() == 0
    with running(state=state) as second, administer(second.url) as admin:
        assert admin.call("state_getRuntimeVersion")["specVersion"] == version
        assert admin.add_neuron(key("a").ss58_address, OWNER) == 0
