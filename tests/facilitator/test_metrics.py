"""The Prometheus metrics."""

from django.test import AsyncClient
from prometheus_client import CONTENT_TYPE_LATEST

from facilitator.config import config

TOKEN = {"Authorization": f"Bearer {config.metrics_token.get_secret_value()}"}


async def value(name: str) -> float:
    page = await AsyncClient().get("/metrics", headers=TOKEN)
    assert page.headers["Content-Type"] == CONTENT_TYPE_LATEST
    rows = page.content.decode().splitlines()
    return sum(float(row.split()[-1]) for row in rows if row.startswith(name))


async def test_connections_and_jobs_are_counted(user, connect):
    before = await value("facilitator_job_requests_total")
    assert await value("facilitator_validator_connections") == 0
    await connect().log_in()
    assert await value("facilitator_validator_connections") == 1
    await user.create()
    assert await value("facilitator_job_requests_total") == before + 1
    assert await value("facilitator_event_streams") == 0


async def test_strangers_see_no_numbers():
    answer = await AsyncClient().get("/metrics")
    assert (answer.status_code, b"facilitator_" in answer.content) == (401, False)
