"""One connection to each serving miner, opened and closed as miners come and go."""

import pytest

from compute_horde.adapters.websocket import ConnectionLostError
from tests.eventually import eventually
from tests.peers.keys import VALIDATOR
from tests.peers.miner import MinerPeer, extended, result
from tests.peers.published_miner import PublishedMiner
from tests.peers.websocket_server import serving
from tests.validator.conftest import address
from validator.miners.connection import Callbacks
from validator.miners.connections import MinerConnections

JOB = "00000000-0000-0000-0000-000000000001"


async def test_presence_is_told_at_both_ends() -> None:
    miner, seen = MinerPeer(), []
    connections = MinerConnections(
        VALIDATOR,
        absence_seconds=5,
        callbacks=Callbacks(on_presence=lambda hotkey: seen.append(connections.reachable(hotkey))),
    )
    async with serving(miner):
        connections.serve([address(miner)])
        await eventually(lambda: seen == [True])
    await eventually(lambda: seen == [True, False])
    assert not connections.reachable(miner.hotkey)
    await connections.close()


async def test_connections_follow_miners_that_move_and_forgets_those_that_leave() -> None:
    old, new = MinerPeer(), MinerPeer()
    connections = MinerConnections(VALIDATOR, absence_seconds=5, callbacks=Callbacks())
    async with serving(old, new):
        connections.serve([address(old)])
        await old.until(lambda: old.logins)
        assert connections.serve([address(new)]) == set()
        await new.until(lambda: new.logins)
        await eventually(lambda: not old.connections)
        assert connections.serve([]) == {new.hotkey}
        assert connections.connection(new.hotkey) is None
        await eventually(lambda: not new.connections)
    await connections.close()


async def test_a_line_with_a_job_stays_where_it_is_and_moves_when_it_breaks() -> None:
    old, new = MinerPeer(), MinerPeer()
    connections = MinerConnections(VALIDATOR, absence_seconds=5, callbacks=Callbacks())
    async with serving(old, new):
        connections.serve([address(old)])
        opened = connections.connection(old.hotkey)
        await opened.wait(30)
        with opened.inbox(JOB) as listen:
            connections.serve([address(new)])
            await old.send(result(JOB))
            assert await listen() == result(JOB)
            assert new.logins == 0
            await old.connections[0].close()
            await new.until(lambda: new.logins)
            assert connections.serve([]) == {new.hotkey}
            assert connections.connection(new.hotkey) is opened
    await connections.close()


async def test_a_miner_that_serves_nothing_has_no_connection() -> None:
    connections = MinerConnections(VALIDATOR, absence_seconds=5, callbacks=Callbacks())
    assert connections.connection("nobody") is None
    assert not connections.reachable("nobody")
    assert not connections.is_published("nobody")
    connections.reconnect_now("nobody")
    await connections.close()


async def test_a_published_miner_is_offered_each_job_on_a_connection_of_its_own() -> None:
    published, modern = PublishedMiner(), extended(MinerPeer())
    modern.keypair = VALIDATOR.__class__.create_from_uri("//Eve")
    connections = MinerConnections(VALIDATOR, absence_seconds=5, callbacks=Callbacks())
    async with serving(published, modern):
        connections.serve([address(published), address(modern)])
        for miner, is_published in ((published, True), (modern, False)):
            shared = connections.connection(miner.hotkey)
            assert await shared.wait(30)
            assert connections.is_published(miner.hotkey) is is_published
            async with connections.connection_for_offer(shared) as own:
                assert (own is not shared) is is_published
                assert own.connected
            assert shared.connected
        await eventually(lambda: len(published.connections) == 1)
        await connections.close()


async def test_an_offer_to_a_published_miner_that_lets_nobody_in_is_lost(monkeypatch) -> None:
    monkeypatch.setattr("validator.miners.job_connections.LOGIN_SECONDS", 0.3)
    miner = PublishedMiner()
    connections = MinerConnections(VALIDATOR, absence_seconds=5, callbacks=Callbacks())
    async with serving(miner):
        connections.serve([address(miner)])
        shared = connections.connection(miner.hotkey)
        assert await shared.wait(30)
        moved = address(miner).__class__(miner.hotkey, "127.0.0.1", 1)
        shared.address = moved
        with pytest.raises(ConnectionLostError, match=miner.hotkey):
            async with connections.connection_for_offer(shared):
                pass
        await connections.close()
