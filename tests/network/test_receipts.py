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


async def test_a_validator_has_what_its_miner_publishes_whoever_is_killed_meanwhile(
    network: Running,
) -> None:
    first = await network.run(shell("sleep 2"))
    await until(lambda: at_validator(network) == at_miner(network), "all receipts are fetched")
    assert {kind for job, kind, _ in at_validator(network) if job == first.uuid} >= TYPES

    network.kill("validator-receipts")
    network.kill("miner")
    second = await network.run(shell("echo again"))
    await until(lambda: at_validator(network) == at_miner(network), "the new ones are fetched too")
    assert {kind for job, kind, _ in at_validator(network) if job == second.uuid} >= TYPES

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
