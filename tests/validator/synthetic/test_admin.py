"""The button that runs a batch."""

import pytest
from django.test import Client
from django.urls import reverse
from kombu.exceptions import OperationalError

from validator import celery

pytestmark = pytest.mark.django_db

RUN = "admin:synthetic_batch_run"


def test_the_button_is_on_the_page_and_tells_a_worker(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = reverse("admin:synthetic_batch_changelist")
    assert b"Run a batch now" in admin_client.get(page).content
    sent: list[str] = []
    monkeypatch.setattr(celery.app, "send_task", lambda name, **options: sent.append(name))
    answer = admin_client.post(reverse(RUN), follow=True)
    assert sent == ["validator.synthetic.tasks.run_extra_batch"]
    assert b"on its way" in answer.content


def test_only_a_press_of_the_button_runs_a_batch(admin_client: Client, client: Client) -> None:
    assert admin_client.get(reverse(RUN)).status_code == 405
    client.logout()
    assert client.post(reverse(RUN)).status_code == 302


def test_a_lost_broker_is_told(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(celery.app, "send_task", lost)
    answer = admin_client.post(reverse(RUN), follow=True)
    assert b"could not be told" in answer.content
