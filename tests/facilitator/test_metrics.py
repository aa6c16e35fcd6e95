"""What Prometheus sees."""

from django.test import AsyncClient


async def value(name: str) -> float:
    page = (await AsyncClient().get("/metrics")).content.decode()
    return sum(float(row.split()[-1]) for row in page.splitlines() if row.startswith(name))


async def test_connections_and_jobs_are_counted(user, connect):
    before = await value("facilitator_job_requests_total")
    assert await value("facilitator_validator_connections") == 0
    await connect().log_in()
    assert await value("facilitator_validator_connections") == 1
    await user.create()
    assert await value("facilitator_job_requests_total") == before + 1
    assert await value("facilitator_event_streams") == 0
