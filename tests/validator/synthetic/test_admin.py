"""The admin pages of batches, and the button that runs one."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from validator.jobs.models import Job
from validator.synthetic.models import Batch, Puzzle

pytestmark = pytest.mark.django_db

RUN = "admin:synthetic_batch_run"


def test_the_button_leads_to_a_preview(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:synthetic_batch_changelist")).content.decode()
    assert f'href="{reverse(RUN)}">Run a batch now' in page


def stored(batch: Batch, outcome: str, count: int = 1, **fields: object) -> None:
    """Store attempts of a batch that ended like this."""
    jobs = [
        Job(uuid=uuid4(), kind=Job.Kind.SYNTHETIC, executor_class="always_on.test")
        for _ in range(count)
    ]
    Job.objects.bulk_create(jobs)
    given = {"hotkey": "5Miner", "kind": "hash", "executor_class": "always_on.test"} | fields
    Puzzle.objects.bulk_create(
        Puzzle(batch=batch, job=job, outcome=outcome, **given) for job in jobs
    )


def begun(**fields: object) -> Batch:
    return Batch.objects.create(**({"block": 1, "seed": "s", "alive_at": timezone.now()} | fields))


def page_of(batch: Batch, client: Client) -> str:
    return client.get(reverse("admin:synthetic_batch_change", args=[batch.pk])).content.decode()


def test_a_batch_shows_each_attempt_and_takes_no_changes(admin_client: Client) -> None:
    batch = begun(notes="3 not tested")
    noon = timezone.now()
    stored(
        batch,
        "wrong_answer",
        verdict="wrong answer",
        blamed="miner",
        offered_at=noon,
        ready_at=noon + timedelta(seconds=1),
        finished_at=noon + timedelta(seconds=3.5),
        loop_delay_ms=12.0,
    )
    stored(batch, "correct", hotkey="5Other")
    text = page_of(batch, admin_client)
    for shown in ("wrong answer", "1.000 s", "2.500 s", "12 ms", "3 not tested"):
        assert shown in text
    assert "1 correct, 1 wrong_answer" in text
    assert "<td>1</td><td>1 correct</td><td>0</td><td>0</td><td></td><td>1 completed</td>" in text
    assert "_save" not in text


def test_a_miners_text_is_no_markup(admin_client: Client) -> None:
    batch = begun()
    stored(batch, "declined", verdict="<script>alert(1)</script>")
    text = page_of(batch, admin_client)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_the_page_of_a_large_batch_needs_no_more_queries(admin_client: Client) -> None:
    counts = []
    for many in (1, 2560):
        batch = begun()
        stored(batch, "correct", many)
        with CaptureQueriesContext(connection) as queries:
            text = page_of(batch, admin_client)
        counts.append(len(queries))
        assert text.count("<td>5Miner</td>") == many
    assert counts[0] == counts[1]


def test_the_list_counts_the_outcomes_of_each_batch(admin_client: Client) -> None:
    begun(state="missed", missed_because="no_permit")
    batch = begun()
    stored(batch, "correct", 2, points=1)
    stored(batch, "declined_busy", 3, blamed="miner")
    stored(batch, "declined_busy", 1, blamed="miner", excused=True, points=1)
    page = admin_client.get(reverse("admin:synthetic_batch_changelist"))
    text = page.content.decode()
    for shown in ("2 of 6", "1 of 4", "0 of 0", ">3<", "no_permit"):
        assert shown in text
    missed = admin_client.get(reverse("admin:synthetic_batch_changelist"), {"state": "missed"})
    assert "2 of 6" not in missed.content.decode()


def test_attempts_can_be_filtered_by_outcome(admin_client: Client) -> None:
    batch = begun()
    stored(batch, "correct", verdict="right")
    stored(batch, "too_late", verdict="slow")
    url = reverse("admin:synthetic_puzzle_changelist")
    chosen = {"batch__id__exact": batch.pk, "hotkey__exact": "5Miner"}
    assert ">right<" in admin_client.get(url, chosen).content.decode()
    text = admin_client.get(url, chosen | {"outcome__exact": "too_late"}).content.decode()
    assert ("slow" in text, ">right<" in text) == (True, False)
    assert admin_client.get(reverse("admin:synthetic_measuredminer_changelist")).status_code == 200
