"""What the miner answers over plain HTTP."""

import gzip
import json
import re
from threading import Event

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.test import AsyncClient, Client
from django.urls import reverse

from compute_horde.django import database
from compute_horde.django.database import in_database
from miner.receipts import actions
from miner.receipts.models import Receipt
from miner.validators.models import ValidatorBlacklist
from tests.miner.conftest import VALIDATOR, accepted
from tests.miner.receipts.test_actions import started


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


async def test_the_version_is_told_as_the_facilitator_wants_it():
    said = json.loads((await AsyncClient().get("/version")).content)
    assert set(said) == {"miner_version", "runner_version"}
    assert re.fullmatch(r"\d+\.\d+\.\d+.*|unknown", said["miner_version"])


async def test_an_unknown_page_is_not_found():
    assert (await AsyncClient().get("/receipts/1.jsonl")).status_code == 404


async def test_a_page_is_read_whole_and_then_from_where_the_reader_was():
    await in_database(actions.store, [started()])
    page = (await in_database(Receipt.objects.get)).page
    url, client = f"/receipts/{page}.jsonl", AsyncClient()
    first = await client.get(url)
    known = len(first.content)
    nothing = await client.get(url, headers={"Range": f"bytes={known}-"})
    assert (nothing.status_code, nothing["Content-Range"]) == (416, f"bytes */{known}")
    await in_database(Receipt.objects.update, page=page)
    await in_database(actions.store, [started()])
    await in_database(Receipt.objects.update, page=page)
    rest = await client.get(url, headers={"Range": f"bytes={known}-"})
    total = known + len(rest.content)
    assert (rest.status_code, rest["Content-Range"]) == (206, f"bytes {known}-{total - 1}/{total}")
    squeezed = await client.get(url, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(squeezed.content) == first.content + rest.content


async def test_jobs_and_executors_can_be_looked_at(scene, admin):
    async with scene() as it:
        _, _, uuid = await accepted(it)
        await it.miner.floor.written(VALIDATOR.ss58_address)
        job = await in_database(admin.get, reverse("admin:jobs_job_change", args=[uuid]))
        assert b"V0ExecutorReadyRequest" in job.content
        assert b"Save" not in job.content
        page = await get_with(it, admin, "/admin/executors/")
        assert uuid in page
        assert it.miner.pool.executors[0].id in page
        measured = await get_with(it, admin, "/metrics")
        assert "--primary" in await get_with(it, admin, "/static/admin/css/base.css")
        assert 'miner_executors{executor_class="always_on.test",state="busy"} 1.0' in measured


async def get_with(it, client, path) -> str:
    """As a browser does, through the miner's own application."""
    cookies = {"sessionid": client.cookies["sessionid"].value}
    transport = httpx.ASGITransport(app=it.app)
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


def test_the_blacklist_can(admin):
    added = admin.post(
        reverse("admin:validators_validatorblacklist_add"),
        {"hotkey": VALIDATOR.ss58_address, "reason": "rude"},
    )
    assert added.status_code == 302
    row = ValidatorBlacklist.objects.get()
    gone = admin.post(
        reverse("admin:validators_validatorblacklist_delete", args=[row.pk]), {"post": "yes"}
    )
    assert gone.status_code == 302
    assert not ValidatorBlacklist.objects.exists()


async def test_it_is_not_healthy_without_its_database(monkeypatch):
    monkeypatch.setattr("miner.views.HEALTH_SECONDS", 0.05)
    hanging = Event()
    monkeypatch.setattr("miner.views._ask", lambda: hanging.wait(5))
    answer = await AsyncClient().get("/health")
    hanging.set()
    assert answer.status_code == 503
