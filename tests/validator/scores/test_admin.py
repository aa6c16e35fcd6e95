"""The admin pages of scores."""

import pytest
from django.test import Client

from validator.scores.models import Score, ScoredCycle

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_scored")]


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_score_is_explained_on_its_page(admin_client: Client) -> None:
    score = Score.objects.get()
    shown = page(admin_client, f"/admin/scores/score/{score.pk}/change/")
    assert "completed synthetic jobs [always_on.test]: 1 jobs" in shown
    assert "alice" in page(admin_client, "/admin/scores/score/?q=alice")


def test_a_cycle_lists_its_miners(admin_client: Client) -> None:
    cycle = ScoredCycle.objects.get()
    assert "alice" in page(admin_client, f"/admin/scores/scoredcycle/{cycle.pk}/change/")
    assert "jobs-1" in page(admin_client, "/admin/scores/scoredcycle/")
