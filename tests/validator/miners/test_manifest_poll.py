"""Manifests are requested of many miners at once; whoever is late is left out."""

from bittensor_core import Keypair

from tests.peers.keys import VALIDATOR
from tests.peers.miner import MinerPeer
from tests.peers.websocket_server import serving
from tests.validator.conftest import address
from validator.miners import manifest_poll
from validator.miners.connection import Address
from validator.miners.manifest_poll import poll


def miner(name: str, **manifest: int) -> MinerPeer:
    offered = {kind.replace("__", "."): count for kind, count in manifest.items()}
    return MinerPeer(manifest=offered, keypair=Keypair.create_from_uri(f"//{name}"))


async def test_who_answers_is_listed_with_what_it_offers(monkeypatch) -> None:
    # Fewer at once than there are miners.
    monkeypatch.setattr(manifest_poll, "MAX_CONCURRENT", 2)
    miners = [miner(f"m{number}", always_on__test=number) for number in range(5)]
    async with serving(*miners):
        found = await poll(map(address, miners), VALIDATOR, 5)
        assert [len(one.connections) for one in miners] == [0] * 5
    assert {hotkey: dict(one.manifest) for hotkey, one in found.items()} == {
        one.hotkey: {"always_on.test": number} for number, one in enumerate(miners)
    }


async def test_a_miner_that_is_away_or_silent_is_left_out_and_logged(caplog) -> None:
    caplog.set_level("INFO")
    here, silent = miner("here", always_on__test=1), miner("silent")
    silent.accepts_logins = False
    async with serving(here, silent):
        away = Address("away", "127.0.0.1", 1)
        found = await poll([away, address(silent), address(here)], VALIDATOR, 0.5)
    assert list(found) == [here.hotkey]
    left = {one.miner for one in caplog.records if one.message == "no manifest"}
    assert "away" in left


async def test_nobody_is_asked_when_there_is_nobody() -> None:
    assert await poll([], VALIDATOR, 1) == {}
