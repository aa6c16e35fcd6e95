"""Why a neuron gets jobs or not, and what it was paid for."""

import pytest
from django.utils import timezone

from tests.peers.user import request
from validator.jobs import actions
from validator.network import reasons
from validator.network.models import Manifest, Neuron
from validator.synthetic.models import Batch, Puzzle
from validator.weights.admin import miners, next_window, why
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


def test_the_weights_page_explains_states_and_shares() -> None:
    batch_with("m", (1, "right"), (0, "too late"))
    row = WeightsSet(cycle_start=1444, earned_in=722, weights={"m": "1"}, next_try_block=1900)
    row.outcome = "ChainError: rate limit"
    assert why(row) == (
        "Being tried, again from block 1900, for the work of the cycle that began in block 722. "
        "The last problem: ChainError: rate limit"
    )
    row.state, row.attempts = WeightsSet.State.FAILED, 3
    assert why(row).startswith("The window closed after 3 attempts")
    assert list(miners(row)) == [("m", "1", 1, "1 x right; 1 x too late")]
    assert next_window().startswith("The chain was not read yet")
