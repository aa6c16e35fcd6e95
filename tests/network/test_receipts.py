"""Receipts of jobs travel from the miner's pages to the validator's database."""

from tests.network.running import Running, shell, until

TYPES = {"JobStartedReceipt", "JobAcceptedReceipt", "JobFinishedReceipt"}


def at_miner(network: Running) -> set[tuple[str, str, int]]:
    query = "SELECT job_uuid::text, receipt_type, interval FROM miner_receipt"
    return set(network.rows("miner", query))


def at_validator(network: Running) -> set[tuple[str, str, int]]:
    rows = network.rows(
        "validator",
        "SELECT job_uuid::text, receipt_type, interval FROM receipts_receipt "
        "WHERE miner_hotkey = %s",
        network.env["MINER_HOTKEY"],
    )
    assert len(rows) == len(set(rows))
    return set(rows)


def has_all(network: Running, job_uuid: str) -> bool:
    """Whether the validator has all that its miner has, and the miner all of this job.

    The user is told of the end of a job before its miner has the finished receipt.
    """
    found = at_validator(network)
    kinds = {kind for job, kind, _ in found if job == job_uuid}
    return kinds >= TYPES and found == at_miner(network)


async def test_a_validator_has_what_its_miner_publishes_whoever_is_killed_meanwhile(
    network: Running,
) -> None:
    first = await network.run(shell("sleep 2"))
    await until(lambda: has_all(network, first.uuid), "all receipts are fetched")

    network.kill("validator-receipts")
    network.kill("miner")
    second = await network.run(shell("echo again"))
    await until(lambda: has_all(network, second.uuid), "the new ones are fetched too")

    # Reading went on where it had ended: no line was verified twice.
    verified = network.rows(
        "validator",
        "SELECT sum(count) FROM receipts_transfercount "
        "WHERE name = 'receipts' AND miner_hotkey = %s",
        network.env["MINER_HOTKEY"],
    )
    assert (verified[0][0] or 0) <= len(at_validator(network))
    problems = network.rows(
        "validator", "SELECT reason FROM receipts_transfercount WHERE name = 'line_errors'"
    )
    assert problems == []
