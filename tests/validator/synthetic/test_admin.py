"""The button that runs a batch."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError

from tests.peers.user import request
from validator import celery
from validator.jobs.actions import create_admin_job
from validator.jobs.models import Job
from validator.synthetic.models import Batch, Puzzle

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
    assert b"A batch is queued" in answer.content


def test_only_a_press_of_the_button_runs_a_batch(admin_client: Client, client: Client) -> None:
    assert admin_client.get(reverse(RUN)).status_code == 405
    client.logout()
    assert client.post(reverse(RUN)).status_code == 302


def test_a_lost_broker_is_told(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(celery.app, "send_task", lost)
    answer = admin_client.post(reverse(RUN), follow=True)
    assert b"could not be queued" in answer.content


def test_a_batch_shows_its_puzzles_and_takes_no_changes(admin_client: Client) -> None:
    batch = Batch.objects.create(block=1, seed="s", alive_at=timezone.now())
    job = Job.objects.create(uuid=uuid4(), kind=Job.Kind.SYNTHETIC, executor_class="always_on.test")
    Puzzle.objects.create(batch=batch, job=job, kind="hash", hotkey="5Miner", verdict="wrong")
    page = admin_client.get(reverse("admin:synthetic_batch_change", args=[batch.pk]))
    text = page.content.decode()
    assert ("5Miner" in text, "wrong" in text) == (True, True)
    assert (page.context["has_change_permission"], "puzzles-0-verdict" in text) == (False, False)


def test_the_list_shows_the_right_answers_of_each_batch(admin_client: Client) -> None:
    for number in range(2):
        batch = Batch.objects.create(block=number, seed="s", alive_at=timezone.now())
    for points in (0, 1, 1):
        job = create_admin_job(request(signer=None), miner="")
        Puzzle.objects.create(batch=batch, job=job, kind="hash", seed="", hotkey="m", points=points)
    page = admin_client.get(reverse("admin:synthetic_batch_changelist")).content
    assert b"2 of 3" in page
    assert b"0 of 0" in page
