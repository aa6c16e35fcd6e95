"""The health check and the metrics page."""

import pytest
from django.test import Client

from tests.peers.user import request
from validator.config import config
from validator.jobs import actions

TOKEN = {"Authorization": f"Bearer {config.metrics_token.get_secret_value()}"}

pytestmark = pytest.mark.django_db


def test_a_healthy_validator_says_ok(client: Client) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.content) == (200, b"ok")


def test_metrics_count_jobs(client: Client) -> None:
    for _ in range(2):
        actions.create_admin_job(request(signer=None), miner="")
    text = client.get("/metrics", headers=TOKEN).content.decode()
    assert 'validator_jobs{kind="admin",state="received"} 2.0' in text
    assert "validator_serving_neurons 0.0" in text


def test_strangers_see_no_numbers(client: Client) -> None:
    answer = client.get("/metrics")
    assert (answer.status_code, b"validator_" in answer.content) == (401, False)


def test_the_front_page_leads_to_admin(client: Client) -> None:
    assert client.get("/").url == "/admin/"
