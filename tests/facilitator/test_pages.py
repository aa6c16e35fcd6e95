"""Pages beside the API."""

from django.test import AsyncClient

from facilitator import pages
from facilitator.patience import unavailable


async def test_health_is_that_of_the_database(monkeypatch):
    answer = await AsyncClient().get("/health")
    assert (answer.status_code, answer.content) == (200, b"ok")

    async def away(*_):
        raise unavailable()

    monkeypatch.setattr(pages, "promptly", away)
    assert (await AsyncClient().get("/health")).status_code == 503


async def test_the_front_page_leads_to_the_api():
    answer = await AsyncClient().get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/api/docs")
