"""Each message is accepted once and in order; others are answered and dropped."""

import asyncio

from compute_horde.adapters.websocket import open_socket
from compute_horde.protocol.extensions import CancelOrdered
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.links import MINER_TO_EXECUTOR
from executor.inbox import MinerInbox
from tests.peers.executors_miner import JOB, Miner, offer, payload, serving

LAST = offer("one too many")


async def listen_to(*messages, complaints):
    async with (
        # The answer to the last one comes after those to all before it.
        serving(Miner(*messages, LAST)) as miner,
        open_socket(miner.address, MINER_TO_EXECUTOR) as line,
    ):
        inbox = MinerInbox(line)
        listening = asyncio.create_task(inbox.listen())
        await miner.until(lambda: len(miner.received) > complaints)
        listening.cancel()
    *earlier, last = [message.details for message in miner.received]
    assert (len(earlier), "not expected" in last) == (complaints, True)
    return inbox, earlier


async def test_the_offer_and_the_job_are_received():
    inbox, complaints = await listen_to(offer("x"), payload("x", "echo"), complaints=0)
    assert inbox.offered.result() == offer("x")
    assert inbox.payload.result() == payload("x", "echo")
    assert complaints == []


async def test_what_comes_twice_or_too_early_is_answered_and_dropped():
    messages = (payload("early"), offer("x"), offer("again"), payload("x"), payload("again"))
    inbox, complaints = await listen_to(*messages, complaints=3)
    assert inbox.offered.result() == offer("x")
    assert inbox.payload.result() == payload("x")
    assert all("not expected" in complaint for complaint in complaints)


async def test_the_payload_of_another_job_is_not_taken():
    inbox, _ = await listen_to(
        offer("x"), payload("x", job_uuid=JOB.replace("6", "7")), complaints=1
    )
    assert not inbox.payload.done()


async def test_that_the_job_is_cancelled_is_received_however_often():
    cancel = CancelOrdered(job_uuid=JOB)
    inbox, complaints = await listen_to(offer("x"), cancel, cancel, complaints=0)
    assert inbox.cancelled.is_set()
    assert complaints == []


async def test_the_end_of_another_job_is_not_ordered():
    other = CancelOrdered(job_uuid=JOB.replace("6", "7"))
    inbox, _ = await listen_to(offer("x"), other, complaints=1)
    assert not inbox.cancelled.is_set()


async def test_a_complaint_is_not_answered():
    inbox, _ = await listen_to(GenericError(details="no"), offer("x"), complaints=0)
    assert inbox.offered.done()


async def test_noise_is_answered_and_the_line_stays_open():
    class Noise(GenericError):
        def encode(self):
            return "{"

    inbox, complaints = await listen_to(Noise(), offer("x"), complaints=1)
    assert "Malformed message" in complaints[0]
    assert inbox.offered.done()
