"""One job through the listener, between a scripted facilitator and scripted miners."""

from compute_horde.django.database import in_database
from compute_horde.protocol.job import JobOffered, JobPayload
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from tests.validator.conftest import Scene
from tests.validator.peers import VALIDATOR, MinerPeer, request
from validator.jobs.models import Job
from validator.receipts.models import IssuedReceipt

ALL_STATES = [
    "received",
    "accepted",
    "executor_ready",
    "volumes_ready",
    "execution_done",
    "completed",
]


async def test_a_job_goes_from_the_facilitator_to_the_miner_and_its_result_back(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(), request()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        assert end.metadata.miner_response.docker_process_stdout == "hi\n"
        assert facilitator.states(job.uuid) == ALL_STATES
        offered = await miner.hears(JobOffered)
        assert offered.docker_image == job.docker_image
        payload = await miner.hears(JobPayload)
        assert payload.docker_run_cmd == job.args
        accepted = await miner.hears(AcceptedReceiptIssued)
        assert accepted.payload.ttl == 3 + 5 + 5 + 5 + 10 + 5
        finished = await miner.hears(FinishedReceiptIssued)
        assert finished.payload.score_str == "20.000000"
    row = await in_database(Job.objects.get, pk=job.uuid)
    assert (row.state, row.miner, row.told) == ("completed", miner.hotkey, True)
    receipts = await in_database(lambda: list(IssuedReceipt.objects.order_by("id")))
    assert [one.receipt_type for one in receipts] == [
        "JobStartedReceipt",
        "JobAcceptedReceipt",
        "JobFinishedReceipt",
    ]
    assert {one.miner_hotkey for one in receipts} == {miner.hotkey}
    assert finished.payload.validator_hotkey == VALIDATOR.ss58_address
