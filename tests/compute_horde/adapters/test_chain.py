"""The chain adapter against a real local chain, with the real SDK."""

import asyncio
import os
from decimal import Decimal
from threading import Thread

import pytest
from websockets.sync.server import ServerConnection, serve

from compute_horde.adapters.chain import (
    Chain,
    ChainRefused,
    ChainUnreachable,
    Hyperparameters,
    Neuron,
    NotPermitted,
    NotRegistered,
    RateLimited,
    connect,
)
from compute_horde.errors import ChainError, ConfigurationError
from localnet.chain.admin import Admin
from localnet.chain.testing import RunningChain, running
from tests.compute_horde.adapters.conftest import NETUID, TAO, Open, key

OWNER = key("owner").ss58_address


def neuron(chain: Chain, name: str, block: int | None = None) -> Neuron:
    hotkey = key(name).ss58_address
    return next(one for one in chain.metagraph(block).neurons if one.hotkey == hotkey)


def test_the_head_follows_the_blocks(chain: Chain, admin: Admin) -> None:
    before = chain.head()
    assert admin.advance(3) == before + 3
    assert chain.head() == chain.finalized_head() == before + 3


def test_a_neuron_is_told_with_its_exact_stake(chain: Chain, admin: Admin) -> None:
    stake = 12_345_678_901_234_567
    uid = admin.add_neuron(key("exact").ss58_address, OWNER, stake)
    assert neuron(chain, "exact") == Neuron(
        uid=uid,
        hotkey=key("exact").ss58_address,
        coldkey=OWNER,
        total_stake_rao=stake,
        validator_permit=True,
        ip="0.0.0.0",
        port=0,
        last_update=0,
    )


def test_a_metagraph_of_the_past_does_not_know_what_came_later(chain: Chain, admin: Admin) -> None:
    admin.add_neuron(key("early").ss58_address, OWNER, 1 * TAO)
    then = chain.head()
    admin.set_stake(key("early").ss58_address, 2 * TAO)
    admin.add_neuron(key("late").ss58_address, OWNER)

    past = chain.metagraph(then)
    assert past.block == then
    assert key("late").ss58_address not in {one.hotkey for one in past.neurons}
    assert neuron(chain, "early", then).total_stake_rao == 1 * TAO
    assert neuron(chain, "early").total_stake_rao == 2 * TAO


def test_a_block_has_one_hash_and_the_future_has_none(chain: Chain, admin: Admin) -> None:
    block = admin.advance(2)
    assert chain.block_hash(block) == admin.call("chain_getBlockHash", block)
    assert chain.block_hash(block) != chain.block_hash(block - 1)
    with pytest.raises(ChainError):
        chain.block_hash(block + 1000)


def test_hyperparameters_are_the_chains(chain: Chain, admin: Admin) -> None:
    admin.set_hyperparameter("min_allowed_weights", 2)
    sent = chain.hyperparameters()
    admin.set_hyperparameter("min_allowed_weights", 1)
    assert sent == Hyperparameters(
        tempo=10,
        weights_rate_limit=10,
        weights_version=0,
        min_allowed_weights=2,
        max_weights_limit=65535,
        commit_reveal_weights_enabled=False,
        commit_reveal_period=1,
        serving_rate_limit=10,
        activity_cutoff=138,
    )


@pytest.mark.parametrize("ip", ["127.0.0.1", "203.0.113.7", "2001:db8::7"])
def test_an_axon_is_seen_by_everyone(chain: Chain, admin: Admin, signed_by: Open, ip: str) -> None:
    admin.add_neuron(key(ip).ss58_address, OWNER)
    signed_by(ip).serve_axon(ip, 8091)
    seen = neuron(chain, ip)
    assert (seen.ip, seen.port) == (ip, 8091)


def test_serving_again_at_once_is_rate_limited(admin: Admin, signed_by: Open) -> None:
    admin.add_neuron(key("eager").ss58_address, OWNER)
    eager = signed_by("eager")
    eager.serve_axon("127.0.0.1", 8091)
    with pytest.raises(RateLimited) as refused:
        eager.serve_axon("127.0.0.1", 8092)
    assert refused.value.name == "ServingRateLimitExceeded"
    admin.advance(10)
    eager.serve_axon("127.0.0.1", 8092)


def test_an_address_that_is_none_is_refused_before_anything_is_signed(signed_by: Open) -> None:
    with pytest.raises(ChainRefused) as refused:
        signed_by("nobody").serve_axon("not-an-address", 8091)
    assert refused.value.reason == "invalid_argument"


def test_who_is_not_registered_can_neither_serve_nor_set_weights(
    admin: Admin, signed_by: Open
) -> None:
    admin.add_neuron(key("target").ss58_address, OWNER)
    stranger = signed_by("stranger")
    with pytest.raises(NotRegistered):
        stranger.serve_axon("127.0.0.1", 8091)
    with pytest.raises(NotRegistered):
        stranger.set_weights({0: 1})


def test_weights_are_read_back_as_shares_of_the_greatest(
    chain: Chain, admin: Admin, signed_by: Open
) -> None:
    first = admin.add_neuron(key("paid-0").ss58_address, OWNER)
    second = admin.add_neuron(key("paid-1").ss58_address, OWNER)
    unpaid = admin.add_neuron(key("unpaid").ss58_address, OWNER)
    uid = admin.add_neuron(key("validator").ss58_address, OWNER, 100 * TAO)
    validator = signed_by("validator")

    sent = validator.set_weights({first: Decimal("0.3"), second: Decimal("0.1"), unpaid: 0.0})

    assert chain.weights(uid) == {first: 65535, second: 21845}
    assert sent.block == chain.head()
    assert sent.reveal_round is None
    assert neuron(chain, "validator").last_update == sent.block
    with pytest.raises(RateLimited):
        validator.set_weights({first: 1})
    assert chain.weights(uid) == {first: 65535, second: 21845}


def test_without_stake_nobody_may_set_weights_for_others(admin: Admin, signed_by: Open) -> None:
    other = admin.add_neuron(key("other").ss58_address, OWNER)
    admin.add_neuron(key("poor").ss58_address, OWNER, 0)
    with pytest.raises(NotPermitted) as refused:
        signed_by("poor").set_weights({other: 1})
    assert refused.value.name == "NeuronNoValidatorPermit"


def test_a_stake_below_the_threshold_is_not_enough(admin: Admin, signed_by: Open) -> None:
    admin.add_neuron(key("small").ss58_address, OWNER, 5)
    admin.set_hyperparameter("stake_threshold", 6)
    try:
        with pytest.raises(NotPermitted) as refused:
            signed_by("small").set_weights({0: 1})
    finally:
        admin.set_hyperparameter("stake_threshold", 0)
    assert refused.value.name == "NotEnoughStakeToSetWeights"


@pytest.mark.parametrize("weights", [{}, {0: 0}, {0: Decimal("NaN")}, {0: -1}, {70000: 1}])
def test_senseless_weights_are_refused(
    admin: Admin, signed_by: Open, weights: dict[int, float]
) -> None:
    name = f"senseless-{weights}"
    admin.add_neuron(key(name).ss58_address, OWNER, 1 * TAO)
    with pytest.raises(ChainRefused):
        signed_by(name).set_weights(weights)


def test_where_the_subnet_demands_it_weights_are_sealed(
    chain: Chain, admin: Admin, signed_by: Open
) -> None:
    uid = admin.add_neuron(key("sealer").ss58_address, OWNER, 1 * TAO)
    admin.set_hyperparameter("commit_reveal_weights_enabled", True)
    try:
        sent = signed_by("sealer").set_weights({0: 1})
    finally:
        admin.set_hyperparameter("commit_reveal_weights_enabled", False)
    assert sent.reveal_round is not None
    assert chain.weights(uid) == {}
    assert neuron(chain, "sealer").last_update == sent.block


def test_a_commitment_is_read_back_by_everyone(chain: Chain, admin: Admin, signed_by: Open) -> None:
    hotkey = key("committer").ss58_address
    admin.add_neuron(hotkey, OWNER)
    assert chain.commitment(hotkey) is None
    signed_by("committer").set_commitment("<M:A1;S2>")
    assert chain.commitment(hotkey) == "<M:A1;S2>"
    assert chain.commitments() == {hotkey: "<M:A1;S2>"}


def test_a_commitment_has_its_limits(admin: Admin, signed_by: Open) -> None:
    admin.add_neuron(key("talker").ss58_address, OWNER)
    talker = signed_by("talker")
    with pytest.raises(ChainRefused, match="at most 128 bytes"):
        talker.set_commitment("é" * 65)
    admin.set_hyperparameter("commitment_space", 150)
    try:
        admin.advance(11)
        talker.set_commitment("x" * 128)
        with pytest.raises(ChainRefused) as refused:
            talker.set_commitment("y")
    finally:
        admin.set_hyperparameter("commitment_space", 3100)
    assert refused.value.name == "SpaceLimitExceeded"


def test_writing_needs_a_hotkey(chain: Chain) -> None:
    with pytest.raises(ConfigurationError):
        chain.set_weights({0: 1})


def test_a_subnet_that_does_not_exist_is_said_so(local_chain: RunningChain) -> None:
    with connect(local_chain.url, NETUID + 1) as elsewhere:
        with pytest.raises(ChainRefused) as refused:
            elsewhere.metagraph()
        with pytest.raises(ChainRefused):
            elsewhere.hyperparameters()
    assert refused.value.reason == "subnet_not_exists"


async def test_a_program_with_a_loop_of_its_own_asks_from_a_thread(chain: Chain) -> None:
    heads = await asyncio.gather(*(asyncio.to_thread(chain.head) for _ in range(5)))
    assert len(set(heads)) == 1


def test_no_node_is_an_error_and_not_a_wait() -> None:
    with pytest.raises(ChainUnreachable), connect("ws://127.0.0.1:1", NETUID, timeout_seconds=5):
        pass


def test_an_address_that_is_no_network_is_refused() -> None:
    with pytest.raises(ChainRefused), connect("nowhere", NETUID):
        pass


def test_a_node_that_never_answers_is_given_up_in_time() -> None:
    def silent(socket: ServerConnection) -> None:
        for _ in socket:
            pass

    with serve(silent, "127.0.0.1", 0) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        with (
            pytest.raises(ChainUnreachable, match=r"within 0\.5 seconds"),
            connect(url, NETUID, timeout_seconds=0.5),
        ):
            pass
        server.shutdown()


def test_a_node_that_dies_is_an_error_for_the_next_call() -> None:
    with running() as doomed, connect(doomed.url, NETUID, timeout_seconds=3) as chain:
        assert chain.head() == 0
        doomed.kill()
        with pytest.raises(ChainUnreachable):
            chain.head()


def test_a_connection_from_before_a_fork_is_an_error_and_not_a_wait(chain: Chain) -> None:
    child = os.fork()
    if child == 0:
        try:
            chain.head()
        except ChainUnreachable:
            os._exit(7)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert chain.head() >= 0
