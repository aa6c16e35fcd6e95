"""What the chain holds of our weights is read back and compared with what was sent."""

from datetime import UTC, datetime

import pytest

from compute_horde.adapters.chain_port import AcceptedWeights, WeightCommit
from tests.validator.chains import FakeChain, neuron
from validator.weights import journal, landing
from validator.weights.models import WeightsSet

pytestmark = pytest.mark.django_db

US = "us"


def chain(block: int = 900, **fields) -> FakeChain:
    neurons = [neuron(0, US), neuron(1, "a"), neuron(2, "b")]
    return FakeChain(**({"block": block, "neurons": neurons} | fields))


def sealed_in(block: int) -> WeightCommit:
    return WeightCommit(1, block, 77, datetime.now(UTC))


def published(cycle_start: int, block: int, values: dict[int, int]) -> WeightsSet:
    row = WeightsSet.objects.create(
        cycle_start=cycle_start, earned_in=0, state=WeightsSet.State.PUBLISHED, block=block
    )
    hotkeys = {1: "a", 2: "b"}
    sent = journal.begin(row, values, hotkeys, block=block - 1, validity_blocks=8)
    assert sent
    journal.accept(sent, AcceptedWeights(block, None))
    return row


def read_back(on: FakeChain) -> None:
    landing.read_back(on, US, landing.due(on.block))


def test_weights_that_the_chain_holds_have_landed() -> None:
    row = published(722, 800, {1: 65535, 2: 7})
    read_back(chain(held={1: 65535, 2: 7}))
    row.refresh_from_db()
    assert (row.landing, row.landed_block, row.landing_detail) == ("landed", 900, "")
    assert landing.due(901) == []


def test_a_difference_of_rounding_is_no_loss() -> None:
    row = published(722, 800, {1: 65535, 2: 7})
    read_back(chain(held={1: 65535, 2: 8}))
    row.refresh_from_db()
    assert row.landing == "landed"


def test_they_are_not_read_in_the_block_that_included_them() -> None:
    published(722, 800, {1: 65535})
    assert landing.due(800) == []
    assert len(landing.due(801)) == 1


def test_a_node_that_is_behind_is_not_believed() -> None:
    row = published(722, 800, {1: 65535})
    on = chain(800, held={})
    landing.read_back(on, US, landing.due(801))
    row.refresh_from_db()
    assert row.landing == "open"


def test_sealed_weights_are_waited_for() -> None:
    row = published(722, 800, {1: 65535})
    read_back(chain(held={}, sealed=(sealed_in(800),)))
    row.refresh_from_db()
    assert row.landing == "open"


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({}, "TimelockRevealFailed"),
        ({1: 65535, 2: 9}, "9 instead of 7 for uid 2"),
        ({1: 65535}, "0 instead of 7 for uid 2"),
    ],
)
def test_weights_that_the_chain_does_not_hold_are_lost_loudly(
    held: dict[int, int], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    row = published(722, 800, {1: 65535, 2: 7})
    read_back(chain(held=held))
    row.refresh_from_db()
    assert row.landing == "lost"
    assert why in row.landing_detail
    assert [one.levelname for one in caplog.records] == ["ERROR"]


def test_a_cycle_that_the_next_one_replaced_is_not_called_lost() -> None:
    old, new = published(722, 800, {1: 1}), published(1444, 1500, {2: 65535})
    read_back(chain(1600, held={2: 65535}))
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.landing, new.landing) == ("unknown", "landed")


def test_a_cycle_is_read_while_the_next_one_is_sealed() -> None:
    old, new = published(722, 800, {1: 65535}), published(1444, 1500, {2: 65535})
    read_back(chain(1600, held={1: 65535}, sealed=(sealed_in(1500),)))
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.landing, new.landing) == ("landed", "open")


def test_a_uid_that_changed_hands_is_named() -> None:
    row = published(722, 800, {1: 65535, 2: 7})
    neurons = [neuron(0, US), neuron(1, "a"), neuron(2, "newcomer")]
    read_back(chain(held={1: 65535, 2: 7}, neurons=neurons))
    row.refresh_from_db()
    assert (row.landing, row.landing_detail) == ("landed", "uid 2 was b and is now newcomer")


def test_the_epochs_without_weights_on_the_chain_are_counted() -> None:
    assert landing.epochs_since_landing(1000, tempo=9) is None
    before = published(0, 100, {1: 65535})
    before.landing = "unknown"
    before.save()
    assert landing.epochs_since_landing(1000, tempo=9) is None
    published(722, 800, {1: 65535})
    assert landing.epochs_since_landing(835, tempo=9) == 3
    read_back(chain(840, held={1: 65535}))
    assert landing.epochs_since_landing(849, tempo=9) == 0
    assert landing.epochs_since_landing(850, tempo=9) == 1
    published(1444, 1500, {2: 65535})
    read_back(chain(1600, held={}))
    assert landing.epochs_since_landing(1600, tempo=9) == 76
