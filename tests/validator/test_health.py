"""What probes and Prometheus see."""

import pytest
from django.test import Client

from tests.validator.peers import request
from validator.jobs import actions

pytestmark = pytest.mark.django_db


def test_a_healthy_validator_says_ok(client: Client) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.content) == (200, b"ok")


def test_metrics_count_jobs(client: Client) -> None:
    for _ in range(2):
        actions.order(request(signer=None), miner="")
    text = client.get("/metrics").content.decode()
    assert 'validator_jobs{kind="admin",state="received"} 2.0' in text
    assert "validator_serving_neurons 0.0" in text


def test_the_front_page_leads_to_admin(client: Client) -> None:
    assert client.get("/").url == "/admin/"
