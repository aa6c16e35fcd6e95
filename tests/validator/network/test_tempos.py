"""Cycles are as long as the tempo that was known at a block says."""

import pytest

from validator.network.models import Snapshot
from validator.network.tempos import cycle_length

pytestmark = pytest.mark.django_db


def test_the_length_is_that_of_the_tempo_then() -> None:
    for block, tempo in ((100, 360), (200, 99)):
        Snapshot.objects.create(block=block, tempo=tempo, neurons=0)
    assert [cycle_length(block) for block in (50, 100, 101, 200, 201)] == [722, 722, 200, 200, None]
