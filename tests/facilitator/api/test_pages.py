"""Pages beside the API."""

import psycopg
from django.test import AsyncClient

from compute_horde.django import health


async def test_health_is_that_of_the_database(monkeypatch):
    answer = await AsyncClient().get("/health")
    assert (answer.status_code, answer.content) == (200, b"ok")

    async def away():
        raise psycopg.OperationalError(
            'connection failed: connection to server at "10.0.0.1", port 5432 failed: '
            "Connection refused\n\tIs the server running on that host?"
        )

    monkeypatch.setattr(health, "connect", away)
    monkeypatch.setattr(health, "_database", health.DatabaseHealth())
    answer = await AsyncClient().get("/health")
    # The page is public, so it must not show the database's address.
    assert (answer.status_code, answer.content) == (503, b"the database cannot be reached")


async def test_the_front_page_leads_to_the_api():
    answer = await AsyncClient().get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/api/docs")
