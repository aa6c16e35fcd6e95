"""The validator's private miner: users' jobs on it, reports that it proves, and repetitions."""

import asyncio

from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from tests.network.running import ENDS_WITHIN_SECONDS, Running, shell, until

# Another output at every run: the miner did not cheat, so what its user says proves nothing.
RANDOM = shell("head -c 8 /dev/urandom | hexdump")
DETERMINISTIC = shell("echo $((6 * 7))", env={"COMPUTE_HORDE_DETERMINISTIC": "1"})


async def test_a_report_is_kept_with_its_evidence_and_a_share_of_jobs_is_repeated(
    network: Running,
) -> None:
    client = network.client()
    repeatable, job, trusted = await asyncio.gather(
        client.create_job(DETERMINISTIC),
        client.create_job(RANDOM),
        client.create_job(RANDOM, on_trusted_miner=True),
    )
    for one in (repeatable, job, trusted):
        await one.wait(timeout=ENDS_WITHIN_SECONDS)
        assert one.status == "completed", one.error
    assert trusted.result.stdout != job.result.stdout
    miners = dict(
        network.rows(
            "validator",
            "SELECT uuid::text, miner FROM jobs_job WHERE uuid = ANY(%s)",
            [repeatable.uuid, job.uuid, trusted.uuid],
        )
    )
    assert miners[trusted.uuid] == TRUSTED_MINER_HOTKEY
    assert TRUSTED_MINER_HOTKEY not in {miners[job.uuid], miners[repeatable.uuid]}

    await client.report_cheated_job(job.uuid, trusted.uuid, details={"why": "another result"})

    def finding() -> list[tuple[str, ...]]:
        query = "SELECT verdict, miner, report FROM trusted_miner_cheatfinding WHERE job_uuid = %s"
        return network.rows("validator", query, job.uuid)

    await until(lambda: bool(finding()), "the report is stored")
    [(verdict, miner, report)] = finding()
    assert (verdict, miner) == ("unproved", miners[job.uuid])
    assert "another result" in report
    [(marked,)] = network.rows(
        "validator", "SELECT cheat_reported_at FROM jobs_job WHERE uuid = %s", job.uuid
    )
    assert marked is not None
    query = "SELECT state FROM trusted_miner_crossvalidation WHERE job_uuid = %s"
    await until(
        lambda: network.rows("validator", query, repeatable.uuid) == [("same",)],
        "the deterministic job is repeated on the trusted miner",
    )
    [(score,)] = network.rows(
        "validator",
        "SELECT score FROM receipts_issuedreceipt WHERE job_uuid = %s"
        " AND receipt_type = 'JobFinishedReceipt'",
        trusted.uuid,
    )
    assert score == 0
