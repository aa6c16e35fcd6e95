"""When blocks come, by what was read of the chain."""

from datetime import timedelta

import pytest
from django.utils import timezone

from validator.network.models import Snapshot
from validator.operators.block_clock import BlockClock, read_clock

NOW = timezone.now()


def test_without_a_read_of_the_chain_no_time_is_told() -> None:
    clock = BlockClock()
    assert not clock.is_known
    assert (clock.when(7), clock.text(7)) == (None, "block 7")


def test_a_block_takes_as_long_as_those_before_it() -> None:
    clock = BlockClock(100, NOW, 360, 2.0)
    assert clock.when(130) == NOW + timedelta(seconds=60)
    assert clock.text(130) == f"block 130, about {NOW + timedelta(minutes=1):%Y-%m-%d %H:%M} UTC"
    assert 100 in clock.cycle(100, netuid=12)


@pytest.mark.django_db
def test_the_pace_is_that_of_the_last_minutes() -> None:
    assert not read_clock().is_known
    for block, minutes in ((100, 20), (400, 10)):
        row = Snapshot.objects.create(block=block, tempo=360, neurons=0)
        Snapshot.objects.filter(pk=row.pk).update(taken_at=NOW - timedelta(minutes=minutes))
    assert read_clock().block_seconds == 12.0
    Snapshot.objects.filter(block=100).update(taken_at=NOW - timedelta(minutes=30))
    assert read_clock().block_seconds == pytest.approx(4.0)
