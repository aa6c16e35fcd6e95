"""The admin page of a cycle's weights: each transaction, and whether the chain holds them."""

import pytest
from django.test import Client

from validator.scores.models import Score, ScoredCycle
from validator.weights.models import Submission, WeightsSet

pytestmark = pytest.mark.django_db


def test_the_page_lists_the_transactions(admin_client: Client) -> None:
    row = WeightsSet.objects.create(cycle_start=722, earned_in=0)
    Submission.objects.create(
        weights_set=row,
        state="refused",
        values={},
        hotkeys={},
        sent_in_block=1234,
        expires_in_block=1266,
        problem="SettingWeightsTooFast",
    )
    page = admin_client.get(f"/admin/weights/weightsset/{row.pk}/change/").content.decode()
    assert "SettingWeightsTooFast" in page
    assert "1266" in page


def test_each_share_leads_to_the_explanation_of_its_score(admin_client: Client) -> None:
    cycle = ScoredCycle.objects.create(cycle_start=0, cycle_stop=722)
    score = Score.objects.create(cycle=cycle, hotkey="alice", uid=1, share=1, u16=65535)
    shares = {"alice": "0.5", "gone": "0.5"}
    row = WeightsSet.objects.create(cycle_start=722, earned_in=0, weights=shares)
    page = admin_client.get(f"/admin/weights/weightsset/{row.pk}/change/").content.decode()
    assert (
        f'<td>alice</td><td>0.5</td><td><a href="/admin/scores/score/{score.pk}/change/">' in page
    )
    assert "<td>gone</td><td>0.5</td><td>the score is deleted</td>" in page
