"""Which blocks are known, and what is answered about hotkeys that are not."""

import pytest
from django.utils import timezone

from validator.network import history
from validator.network.models import Fact, ObservedBlocks

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def test_what_was_read_holds_until_the_next_block_of_the_grid() -> None:
    for stream in ObservedBlocks.Stream:
        ObservedBlocks.objects.create(stream=stream, first_block=100, last_block=120, last_at=NOW)
    known = {
        block: (state.known_from, state.manifests_known_from)
        for block in (99, 100, 120, 121, 129, 130)
        if (state := history.network_at(block))
    }
    assert known == {
        99: (None, None),
        100: (100, 100),
        120: (100, 100),
        121: (100, None),
        129: (100, None),
        130: (None, None),
    }


def test_a_hotkey_that_nobody_knows_has_no_changes() -> None:
    assert history.latest_changes("nobody", 5, kinds=Fact.Kind.values) == []
    assert history.changes("nobody", 0) == []
