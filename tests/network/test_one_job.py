"""A job goes all the way and its result comes back."""

import io
import zipfile
from base64 import b64encode

import httpx

from compute_horde_sdk.v1 import InlineInputVolume
from tests.network.running import Running, shell, until


def zipped(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, data)
    return b64encode(packed.getvalue())


async def test_the_bytes_that_went_in_come_out(network: Running) -> None:
    data = bytes(range(256)) * 64
    script = "cp /volume/in/data.bin /artifacts/copy.bin; echo out; echo err >&2"
    job = await network.run(
        shell(
            script,
            artifacts_dir="/artifacts",
            input_volumes={
                "/volume/in": InlineInputVolume(contents=zipped("data.bin", data).decode())
            },
        )
    )
    assert job.status == "completed"
    assert (job.result.stdout, job.result.stderr) == ("out\n", "err\n")
    assert job.result.artifacts == {"/artifacts/copy.bin": data}


async def test_every_state_is_told_once_and_in_order(network: Running) -> None:
    job = await network.run(shell("true"))
    assert [entry.status.value for entry in job.status_history] == [
        "sent",
        "received",
        "accepted",
        "executor_ready",
        "volumes_ready",
        "execution_done",
        "completed",
    ]


async def test_each_party_keeps_the_job_in_its_database(network: Running) -> None:
    job = await network.run(shell("true"))
    tables = {
        "miner": "miner_acceptedjob",
        "validator": "jobs_job",
        "facilitator": "facilitator_job",
    }
    for service, table in tables.items():
        query = f"SELECT state FROM {table} WHERE uuid = %s"
        assert network.rows(service, query, job.uuid) == [("completed",)], service


async def test_the_miner_holds_three_receipts_signed_by_both(network: Running) -> None:
    job = await network.run(shell("true"))

    def kinds() -> set[str]:
        query = "SELECT receipt_type FROM miner_receipt WHERE job_uuid = %s"
        return {kind for (kind,) in network.rows("miner", query, job.uuid)}

    # An interval passes while a loaded machine starts the job.
    wanted = {"JobStartedReceipt", "JobAcceptedReceipt", "JobFinishedReceipt"}
    await until(lambda: kinds() - {"JobIntervalReceipt"} == wanted, "three receipts", 10)


async def test_the_admins_pages_show_the_job(network: Running) -> None:
    job = await network.run(shell("true"))
    for service in ("FACILITATOR", "VALIDATOR", "MINER"):
        env = network.env
        base = env[f"{service}_ADMIN_URL"]
        async with httpx.AsyncClient(follow_redirects=True) as browser:
            page = await browser.get(f"{base}login/")
            form = {
                "username": env[f"{service}_ADMIN_USER"],
                "password": env[f"{service}_ADMIN_PASSWORD"],
                "csrfmiddlewaretoken": browser.cookies[f"{service.lower()}_csrf"],
                "next": "/admin/",
            }
            page = await browser.post(f"{base}login/", data=form, headers={"Referer": base})
            assert page.status_code == 200
            assert "Log out" in page.text, service
    assert job.uuid
