"""The admin page of a cycle's weights: each transaction, and whether the chain holds them."""

import pytest
from django.test import Client

from validator.weights.explanations import landed, why
from validator.weights.models import Submission, WeightsSet

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "They were not read back yet."),
        ({"landing": "landed", "landed_block": 9}, "They were read back in block 9."),
        ({"landing": "lost", "landing_detail": "no reveal"}, "They were lost: no reveal."),
        ({"landing": "unknown"}, "Whether they took effect is not known."),
    ],
)
def test_a_sentence_says_whether_weights_landed(fields: dict, sentence: str) -> None:
    row = WeightsSet(cycle_start=722, earned_in=0, state="published", **fields)
    assert landed(row) == sentence
    assert why(row).endswith(sentence)


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
