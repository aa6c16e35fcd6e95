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


def held(kind: str, subject: str, value: object, since: int, until: int | None = None) -> None:
    item = "always_on.test" if kind == "manifest" else ""
    Fact.objects.create(
        kind=kind,
        subject=subject,
        item=item,
        value=value,
        from_block=since,
        until_block=until,
        began_at=NOW,
    )


def test_neurons_with_a_permit_at_any_time_are_read_with_their_stakes() -> None:
    for subject, permits in (("always", [True]), ("once", [True, False]), ("miner", [False])):
        for number, permit in enumerate(permits):
            neuron = {"uid": 1, "coldkey": "c", "permit": permit}
            held(
                "neuron", subject, neuron, 100 * number, 100 if len(permits) > number + 1 else None
            )
        held("stake", subject, 5, 0)
        held("manifest", subject, 3, 0)
    of_both, of_late = (history.validators_between(first, 200) for first in (50, 150))
    assert {(one.kind, one.subject) for one in of_both.facts} == {
        (kind, subject) for kind in ("neuron", "stake") for subject in ("always", "once")
    }
    assert {one.subject for one in of_late.facts} == {"always"}
    assert of_both.at(120).neurons["once"].stake_rao == 5


def test_the_manifests_of_one_miner_and_class_are_read() -> None:
    for since, until in ((0, 50), (50, 80), (80, None)):
        held("manifest", "miner", since, since, until)
    held("manifest", "other", 1, 0)
    facts = history.manifest_between("miner", "always_on.test", 50, 80).facts
    assert [one.value for one in facts] == [50]
    assert history.manifest_between("miner", "always_on.cpu.8c.16gb", 0, 80).facts == ()


def test_the_chain_is_known_until_the_next_block_of_the_grid() -> None:
    assert history.chain_known_until() == 0
    for first in (200, 300):
        ObservedBlocks.objects.create(
            stream="chain", first_block=first, last_block=first + 20, last_at=NOW
        )
    assert history.chain_known_until() == 330
