"""The unmodified Bittensor SDK as a client, beyond what ComputeHorde uses of it."""

from collections.abc import AsyncIterator, Iterator

import bittensor
import pytest
from bittensor_core import Keypair

from localnet.chain.admin import Admin, administer
from localnet.chain.testing import RunningChain, running
from tests.localnet.chain.workbench import NETUID, OWNER, TAO, key


class Keys:
    """A wallet with the interface that the SDK expects."""

    def __init__(self, name: str) -> None:
        self.coldkey = self.coldkeypub = key(f"{name}-cold")
        self.hotkey: Keypair = key(name)


@pytest.fixture
async def sdk(local_chain: RunningChain) -> AsyncIterator[bittensor.Client]:
    async with bittensor.Subtensor(local_chain.url) as client:
        yield client


@pytest.fixture(scope="module")
def admin(local_chain: RunningChain) -> Iterator[Admin]:
    with administer(local_chain.url) as line:
        yield line


async def test_a_coldkey_registers_its_hotkey_and_both_see_it(
    sdk: bittensor.Client, admin: Admin
) -> None:
    keys = Keys("sdk")
    admin.fund(keys.coldkey.ss58_address, 5 * TAO)
    call = bittensor.calls.SubtensorModule.burned_register(
        netuid=NETUID, hotkey=keys.hotkey.ss58_address
    )
    result = await sdk.submit_call(call, keys)
    assert result.success
    assert await sdk.read("uid", netuid=NETUID, hotkey_ss58=keys.hotkey.ss58_address) == 0
    again = await sdk.submit_call(call, keys)
    assert not again.success
    assert again.error.name == "HotKeyAlreadyRegisteredInSubNet"
    assert again.error.code == bittensor.ErrorCode.ALREADY_EXISTS


async def test_the_typed_metagraph_has_axon_stake_and_commitment(
    sdk: bittensor.Client, admin: Admin
) -> None:
    keys = Keys("full")
    uid = admin.add_neuron(keys.hotkey.ss58_address, OWNER, 3 * TAO)
    axon = bittensor.ServeAxon(netuid=NETUID, ip="203.0.113.7", port=8091)
    (await sdk.execute(axon, keys)).raise_for_failure()
    info = {"fields": [{"Raw5": "0x" + b"hello".hex()}]}
    call = bittensor.calls.Commitments.set_commitment(netuid=NETUID, info=info)
    (await sdk.submit_call(call, keys, signer="hotkey")).raise_for_failure()

    seen = (await sdk.subnets.metagraph(NETUID)).neuron(uid)
    assert (seen.hotkey, seen.coldkey) == (keys.hotkey.ss58_address, OWNER)
    assert seen.axon == "203.0.113.7:8091"
    assert seen.total_stake.rao == 3 * TAO
    assert seen.commitment.value == "hello"
    assert seen.validator_permit
    lite = next(one for one in await sdk.neurons.all(netuid=NETUID) if one.uid == uid)
    assert (lite.hotkey, lite.total_stake.rao) == (seen.hotkey, seen.total_stake.rao)


async def test_a_snapshot_does_not_change(sdk: bittensor.Client, admin: Admin) -> None:
    then = await sdk.at()
    count = len((await then.subnets.metagraph(NETUID)).neurons)
    admin.add_neuron(key("newcomer").ss58_address, OWNER)
    assert len((await then.subnets.metagraph(NETUID)).neurons) == count
    assert len((await sdk.subnets.metagraph(NETUID)).neurons) == count + 1
    start = await sdk.at(0)
    assert len((await start.subnets.metagraph(NETUID)).neurons) == 0


async def test_weights_are_read_as_a_map(sdk: bittensor.Client, admin: Admin) -> None:
    keys = Keys("weigher")
    uid = admin.add_neuron(keys.hotkey.ss58_address, OWNER, TAO)
    other = admin.add_neuron(key("weighed").ss58_address, OWNER)
    row = bittensor.SetWeights(netuid=NETUID, weights={other: 0.25})
    (await sdk.execute(row, keys)).raise_for_failure()
    rows = await sdk.query_map(bittensor.storage.SubtensorModule.Weights, [NETUID])
    assert dict(rows)[uid] == [(other, 65535)]


async def test_more_neurons_than_a_page_are_all_read(sdk: bittensor.Client, admin: Admin) -> None:
    for number in range(120):
        admin.add_neuron(key(f"crowd-{number}").ss58_address, OWNER)
    rows = await sdk.query_map(bittensor.storage.SubtensorModule.Uids, [NETUID])
    graph = await sdk.subnets.metagraph(NETUID)
    assert dict(rows) == {neuron.hotkey: neuron.uid for neuron in graph.neurons}
    assert len(rows) > 120


async def test_the_sdk_subscribes_to_blocks() -> None:
    with running(block_seconds=0.1) as chain:
        async with bittensor.Subtensor(chain.url) as client:
            before = await client.block()
            assert (await client.wait_for_block(before + 3, timeout=60)).number >= before + 3
            assert await client.block_time() == 0.1
            assert (await client.block_info(before + 1)).number == before + 1
            assert (await client.read("epoch_status", netuid=NETUID))["tempo"] == 10
