"""Why a neuron gets jobs or not, and what it was paid for."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.peers.user import request
from validator.jobs import actions
from validator.network import reasons
from validator.network.models import Fact, Manifest, ManifestStatus, Neuron
from validator.synthetic.models import Batch, Puzzle
from validator.weights.explanations import next_window, why
from validator.weights.models import WeightsSet

pytestmark = pytest.mark.django_db


def neuron(**fields: object) -> Neuron:
    defaults = {"hotkey": "m", "uid": 1, "ip": "192.0.2.1", "port": 8000, "seen_at": timezone.now()}
    return Neuron.objects.create(**(defaults | fields))


@pytest.mark.parametrize(
    ("fields", "offers", "expected"),
    [
        ({"hotkey": "us"}, {}, "no: this is our own hotkey"),
        ({"registered": False}, {}, "no: it is no longer registered"),
        ({"port": 0}, {}, "no: it announces no address"),
        ({}, {}, "no: it never answered at 192.0.2.1:8000"),
        ({}, {"always_on.test": 0}, "no: it offers 0 executors"),
        ({}, {"always_on.test": 2}, "yes: it offers 2 of always_on.test"),
    ],
)
def test_the_first_reason_against_jobs_is_named(
    fields: dict[str, object], offers: dict[str, int], expected: str
) -> None:
    one = neuron(**fields)
    for kind, count in offers.items():
        Manifest.objects.create(
            hotkey=one.hotkey, executor_class=kind, count=count, heard_at=timezone.now()
        )
    assert reasons.why_jobs(one, "us").startswith(expected)


def batch_with(hotkey: str, *verdicts: tuple[int, str]) -> Batch:
    batch = Batch.objects.create(
        cycle_start=722, block=723, state="done", seed="s", alive_at=timezone.now()
    )
    for points, verdict in verdicts:
        Puzzle.objects.create(
            batch=batch,
            job=actions.create_admin_job(request(signer=None), miner=""),
            kind="hash",
            hotkey=hotkey,
            executor_class="always_on.test",
            points=points,
            verdict=verdict,
        )
    return batch


def test_the_last_batch_tells_each_verdict_and_the_weights_their_origin() -> None:
    assert list(reasons.last_batch("m")) == ["no batch was completed yet"]
    assert reasons.last_weight("m") == "no weights were published yet"
    batch_with("m", (1, "right"), (0, "too late"))
    assert list(reasons.last_batch("m")) == [
        "cycle 722: always_on.test: 1 points: right",
        "cycle 722: always_on.test: 0 points: too late",
    ]
    assert "it offered no executor then" in next(reasons.last_batch("other"))
    WeightsSet.objects.create(
        cycle_start=1444, earned_in=722, state="published", weights={"m": "1"}
    )
    assert reasons.last_weight("m") == "1 for what was earned in cycle 722"
    assert reasons.last_weight("other").endswith("it earned no points")


def test_the_weights_page_explains_states() -> None:
    row = WeightsSet(cycle_start=1444, earned_in=722, weights={"m": "1"}, next_try_block=1900)
    row.outcome = "ChainError: rate limit"
    assert why(row) == (
        "Being tried, again from block 1900, for the work from block 722 on. "
        "The last problem: ChainError: rate limit"
    )
    row.state, row.attempts = WeightsSet.State.FAILED, 3
    assert why(row).startswith("The window closed after 3 attempts")
    assert next_window().startswith("The chain was not read yet")


def test_the_effective_manifest_is_told_apart_from_the_newest_report() -> None:
    now = timezone.now()
    assert list(reasons.effective_manifest("m")) == [
        "none: it never reported what executors it has"
    ]
    ManifestStatus.objects.create(
        hotkey="m",
        effective={"always_on.test": 4},
        effective_since=now,
        pending={},
        reported_at=now,
        counts_from=now + timedelta(hours=2),
    )
    Manifest.objects.create(
        hotkey="m", executor_class="always_on.test", count=0, heard_at=now, source="chain"
    )
    at, later = (f"{one:%Y-%m-%d %H:%M} UTC" for one in (now, now + timedelta(hours=2)))
    assert list(reasons.effective_manifest("m")) == [
        f"4 of always_on.test, since {at}",
        f"pending: no executors, reported at {at}, counts from {later}",
        "the newest report is its commitment on the chain, since it does not answer",
        "the miner itself answered last: never",
    ]


def test_changes_are_told_newest_first_and_without_stakes() -> None:
    now = timezone.now()
    address = {"subject": "m", "kind": "address", "began_at": now}
    Fact.objects.create(value={"port": 1}, from_block=10, until_block=20, ended_at=now, **address)
    Fact.objects.create(value={"port": 2}, from_block=20, until_block=30, ended_at=now, **address)
    Fact.objects.create(subject="m", kind="stake", value=5, from_block=25, began_at=now)
    at = f"{now:%Y-%m-%d %H:%M} UTC"
    assert list(reasons.recent_changes("m")) == [
        f"block 30 ({at}): address: none any more, was port 2",
        f"block 20 ({at}): address: port 2, was port 1",
        f"block 10 ({at}): address: port 1",
    ]
