"""Each thing is heard once and in order; the rest is answered and dropped."""

import asyncio

from compute_horde.adapters.websocket import line_to
from compute_horde.protocol.extensions import CancelOrdered
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.links import MINER_TO_EXECUTOR
from executor.hearing import Hearing
from tests.executor.peer import JOB, Miner, offer, payload, serving


async def heard(*said, complaints):
    async with (
        serving(Miner(*said)) as miner,
        line_to(miner.address, MINER_TO_EXECUTOR) as line,
    ):
        hearing = Hearing(line)
        listening = asyncio.create_task(hearing.listen())
        async with miner.news:
            enough = miner.news.wait_for(lambda: len(miner.heard) == complaints)
            await asyncio.wait_for(enough, 5)
        await asyncio.sleep(0.05)
        listening.cancel()
    return hearing, [message.details for message in miner.heard]


async def test_the_offer_and_the_job_are_heard():
    hearing, complaints = await heard(offer("x"), payload("x", "echo"), complaints=0)
    assert hearing.offered.result() == offer("x")
    assert hearing.payload.result() == payload("x", "echo")
    assert complaints == []


async def test_what_comes_twice_or_too_early_is_answered_and_dropped():
    said = (payload("early"), offer("x"), offer("again"), payload("x"), payload("again"))
    hearing, complaints = await heard(*said, complaints=3)
    assert hearing.offered.result() == offer("x")
    assert hearing.payload.result() == payload("x")
    assert all("not expected" in complaint for complaint in complaints)


async def test_the_payload_of_another_job_is_not_taken():
    hearing, _ = await heard(offer("x"), payload("x", job_uuid=JOB.replace("6", "7")), complaints=1)
    assert not hearing.payload.done()


async def test_that_the_job_is_cancelled_is_heard_however_often():
    cancel = CancelOrdered(job_uuid=JOB)
    hearing, complaints = await heard(offer("x"), cancel, cancel, complaints=0)
    assert hearing.cancelled.is_set()
    assert complaints == []


async def test_the_end_of_another_job_is_not_ordered():
    other = CancelOrdered(job_uuid=JOB.replace("6", "7"))
    hearing, _ = await heard(offer("x"), other, complaints=1)
    assert not hearing.cancelled.is_set()


async def test_a_complaint_is_not_answered():
    hearing, _ = await heard(GenericError(details="no"), offer("x"), complaints=0)
    assert hearing.offered.done()


async def test_noise_is_answered_and_the_line_stays_open():
    class Noise(GenericError):
        def encode(self):
            return "{"

    hearing, complaints = await heard(Noise(), offer("x"), complaints=1)
    assert "Malformed message" in complaints[0]
    assert hearing.offered.done()
