"""The HTTP views and the admin site of the miner."""

import asyncio
import gzip
import json
import re

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.test import AsyncClient, Client
from django.urls import reverse

from compute_horde.django import database, health
from compute_horde.django.database import in_database
from miner import http_views
from miner.config import config
from miner.receipts import store
from miner.receipts.models import Receipt
from miner.validators.models import ValidatorBlacklist
from tests.miner.conftest import VALIDATOR, accepted
from tests.miner.receipts.test_store import started


@pytest.fixture(autouse=True)
def _threads(transactional_db):
    yield
    database.close_threads()


@pytest.fixture
def admin():
    get_user_model().objects.create_superuser("root", password="secret")
    client = Client()
    assert client.login(username="root", password="secret")
    return client


async def test_it_is_healthy_when_the_database_answers():
    answer = await AsyncClient().get("/health")
    assert (answer.status_code, answer.content) == (200, b"ok")


async def test_the_version_page_has_the_published_format():
    body = json.loads((await AsyncClient().get("/version")).content)
    assert set(body) == {"miner_version", "runner_version"}
    assert re.fullmatch(r"\d+\.\d+\.\d+.*|unknown", body["miner_version"])


async def test_an_unknown_page_is_not_found():
    assert (await AsyncClient().get("/receipts/1.jsonl")).status_code == 404


async def test_a_trusted_miner_publishes_no_receipts(monkeypatch):
    await in_database(store.store, [started()])
    page = (await in_database(Receipt.objects.get)).page
    url = f"/receipts/{page}.jsonl"
    assert (await AsyncClient().get(url)).status_code == 200
    monkeypatch.setattr(http_views, "config", config.model_copy(update={"trusted": True}))
    assert (await AsyncClient().get(url)).status_code == 404


async def test_a_page_is_read_whole_and_then_from_an_offset():
    await in_database(store.store, [started()])
    page = (await in_database(Receipt.objects.get)).page
    url, client = f"/receipts/{page}.jsonl", AsyncClient()
    first = await client.get(url)
    offset = len(first.content)
    nothing = await client.get(url, headers={"Range": f"bytes={offset}-"})
    assert (nothing.status_code, nothing["Content-Range"]) == (416, f"bytes */{offset}")
    await in_database(Receipt.objects.update, page=page)
    await in_database(store.store, [started()])
    await in_database(Receipt.objects.update, page=page)
    rest = await client.get(url, headers={"Range": f"bytes={offset}-"})
    total = offset + len(rest.content)
    assert (rest.status_code, rest["Content-Range"]) == (206, f"bytes {offset}-{total - 1}/{total}")
    compressed = await client.get(url, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(compressed.content) == first.content + rest.content


async def test_jobs_executors_and_metrics_have_pages(run_miner, admin):
    async with run_miner() as it:
        _, _, uuid = await accepted(it)
        await it.miner.active_jobs.flush(VALIDATOR.ss58_address)
        job = await in_database(admin.get, reverse("admin:jobs_job_change", args=[uuid]))
        assert b"V0ExecutorReadyRequest" in job.content
        assert b"Save" not in job.content
        page = await get_with(it, admin, "/admin/executors/")
        # The port has nothing at `/`, so the admin site must not link there.
        assert 'href="/"' not in page
        assert uuid in page
        assert it.miner.pool.executors[0].id in page
        metrics = await get_with(it, admin, "/metrics")
        assert "--primary" in await get_with(it, admin, "/static/admin/css/base.css")
        assert 'miner_executors{executor_class="always_on.test",state="busy"} 1.0' in metrics


async def get_with(it, client, path) -> str:
    """Request a page of the admin port, as a browser does."""
    cookies = {name: one.value for name, one in client.cookies.items()}
    transport = httpx.ASGITransport(app=it.admin)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", cookies=cookies
    ) as browser:
        answer = await browser.get(path)
    assert answer.status_code == 200
    return answer.text


def test_rows_of_the_miner_cannot_be_edited(admin):
    for model in ("jobs_job", "receipts_receipt", "validators_validator"):
        assert admin.get(reverse(f"admin:{model}_changelist")).status_code == 200
        assert admin.get(reverse(f"admin:{model}_add")).status_code == 403


def test_the_blacklist_can_be_edited(admin):
    added = admin.post(
        reverse("admin:validators_validatorblacklist_add"),
        {"hotkey": VALIDATOR.ss58_address, "reason": "rude"},
    )
    assert added.status_code == 302
    row = ValidatorBlacklist.objects.get()
    deleted = admin.post(
        reverse("admin:validators_validatorblacklist_delete", args=[row.pk]), {"post": "yes"}
    )
    assert deleted.status_code == 302
    assert not ValidatorBlacklist.objects.exists()


async def test_it_is_not_healthy_without_its_database(monkeypatch):
    async def hanging():
        await asyncio.Event().wait()

    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(health, "connect", hanging)
    monkeypatch.setattr(health, "_database", health.DatabaseHealth())
    answer = await AsyncClient().get("/health")
    assert (answer.status_code, answer.content) == (503, b"the database does not answer")
