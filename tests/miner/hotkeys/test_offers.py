"""Several hotkeys share the executors of one miner; each answers for itself, at its own port."""

import time
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

from bittensor_core import Keypair

from compute_horde.cycles import Cycle
from compute_horde.django.database import in_database
from compute_horde.protocol.capacity import MainHotkey, Manifest
from compute_horde.protocol.handshake import GenericError, ValidatorAuth
from compute_horde.protocol.job import ExecutorReady, JobAccepted, JobDeclined
from compute_horde.vocabulary import Extension, RejectionReason
from miner.earnings.actions import update_prices
from miner.hotkeys import actions
from miner.hotkeys.rules import Division, MainHotkeySchedule
from miner.hotkeys.served import ServedHotkey
from miner.receipts.models import Receipt
from tests.miner.conftest import MINER, VALIDATOR, Run, RunningMiner, record
from tests.miner.peers import CLASS, ValidatorPeer

OTHER = Keypair.create_from_uri("//Dave")
PORT = 8101


def running(
    run_miner: Run, count: int, **changes: Any
) -> AbstractAsyncContextManager[RunningMiner]:
    served = (ServedHotkey(OTHER, PORT, PORT),)
    return run_miner(others=served, executors={CLASS: count}, **changes)


async def validator(it: RunningMiner, port: int | None, *extensions: str) -> ValidatorPeer:
    """A validator that has logged in at one of the two ports; `manifest` is what it was sent."""
    peer = ValidatorPeer(it.app, VALIDATOR, (OTHER if port else MINER).ss58_address)
    peer.scope["server"] = ("127.0.0.1", port or it.miner.config.port)
    await peer.open()
    answer = await peer.log_in(*extensions)
    assert isinstance(answer, Manifest)
    peer.manifest = dict(answer.manifest)
    return peer


async def test_each_hotkey_is_reached_at_its_own_port_only(run_miner: Run) -> None:
    async with running(run_miner, 2) as it:
        peer = ValidatorPeer(it.app, VALIDATOR, OTHER.ss58_address)
        peer.scope["server"] = ("127.0.0.1", it.miner.config.port)
        await peer.open()
        await peer.send(ValidatorAuth.signed(VALIDATOR, OTHER.ss58_address, int(time.time())))
        assert "wrong miner hotkey" in (await peer.receive()).details
        assert (await validator(it, PORT)).manifest == {CLASS: 1}


async def test_executors_are_divided_and_each_hotkey_signs_its_own_receipts(run_miner: Run) -> None:
    async with running(run_miner, 3) as it:
        first, second = await validator(it, None), await validator(it, PORT)
        assert (first.manifest, second.manifest) == ({CLASS: 2}, {CLASS: 1})
        offers = [second.offer(), second.offer(), first.offer(), first.offer(), first.offer()]
        answers = []
        for offer, peer in zip(offers, (second, second, first, first, first), strict=True):
            await peer.send(offer)
            answers.append(await peer.receive())
        accepted, declined, *of_first = answers
        assert isinstance(accepted, JobAccepted)
        # Another hotkey's jobs excuse nothing: validators take receipts of the asked one only.
        assert (declined.job_uuid, declined.reason) == (offers[1].job_uuid, RejectionReason.BUSY)
        assert [one.payload.job_uuid for one in declined.receipts] == [offers[0].job_uuid]
        declined.receipts[0].verify()
        assert [type(one) for one in of_first] == [JobAccepted, JobAccepted, JobDeclined]
        assert {one.payload.job_uuid for one in of_first[2].receipts} == {
            offers[2].job_uuid,
            offers[3].job_uuid,
        }
        assert (await record(offers[0].job_uuid)).miner_hotkey == OTHER.ss58_address
    stored = await in_database(lambda: list(Receipt.objects.values_list("miner_hotkey", flat=True)))
    assert sorted(stored) == sorted([OTHER.ss58_address, MINER.ss58_address, MINER.ss58_address])


async def test_messages_about_a_job_go_to_the_connections_of_its_hotkey_only(
    run_miner: Run,
) -> None:
    async with running(run_miner, 2) as it:
        executor = await it.executor(0)
        first, second = await validator(it, None), await validator(it, PORT)
        offer = second.offer()
        await second.send(offer)
        assert isinstance(await second.receive(), JobAccepted)
        await executor.receive()
        await executor.send(ExecutorReady(job_uuid=offer.job_uuid))
        assert isinstance(await second.receive(), ExecutorReady)
        await first.send(first.payload(offer.job_uuid))
        answer = await first.receive()
        assert isinstance(answer, GenericError)
        assert "unknown job_uuid" in answer.details


async def test_when_the_main_hotkey_moves_all_are_told(run_miner: Run) -> None:
    async with running(run_miner, 2, division=Division.MAIN) as it:
        first = await validator(it, None, Extension.OUTPUT)
        second = await validator(it, PORT, Extension.OUTPUT)
        assert (first.manifest, second.manifest) == ({CLASS: 2}, {})
        schedule = MainHotkeySchedule((OTHER.ss58_address,))
        await in_database(actions.begin_cycle, Cycle(0, 722, 0), schedule)
        assert dict((await first.receive()).manifest) == {}
        assert dict((await second.receive()).manifest) == {CLASS: 2}
        for peer in (first, second):
            await peer.send(MainHotkey())
            assert await peer.receive() == MainHotkey(main_hotkey=OTHER.ss58_address)
        await first.send(first.offer())
        declined = await first.receive()
        assert declined.reason is RejectionReason.UNKNOWN
        assert "others of it do" in declined.message


async def test_a_class_that_would_lose_money_is_not_offered_and_the_refusal_says_so(
    run_miner: Run,
) -> None:
    async with run_miner() as it:
        validator = await it.validator(VALIDATOR, Extension.OUTPUT)
        await in_database(update_prices, {CLASS: Decimal(2)}, {CLASS: Decimal(1)})
        assert dict((await validator.receive()).manifest) == {}
        await validator.send(validator.offer())
        answer = await validator.receive()
        assert answer.reason is RejectionReason.UNKNOWN
        assert answer.message.startswith("minimum price: a job of always_on.test would lose money")
        assert answer.context == {"cause": "below_minimum_price"}
        await in_database(update_prices, {}, {})
        assert dict((await validator.receive()).manifest) == {CLASS: 1}
