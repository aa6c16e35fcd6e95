"""One batch per cycle, in its slot; each missed one has a reason."""

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from compute_horde.adapters.chain_port import ChainUnreachable
from compute_horde.cycles import cycle_at
from tests.peers.keys import VALIDATOR
from tests.validator.chains import FakeChain, neuron
from tests.validator.conftest import configured
from validator.network.models import Snapshot
from validator.synthetic import schedule, slots
from validator.synthetic.models import Batch

pytestmark = pytest.mark.django_db

NETUID, TAO = 8, 10**9
CYCLE = cycle_at(1000, netuid=NETUID, tempo=9)
LENGTH = 20
US = VALIDATOR.ss58_address
PERMITTED = {"validator_permit": True, "total_stake_rao": 2000 * TAO}


class SlotChain(FakeChain):
    """A chain with block hashes; it can be away, or know no old blocks."""

    away = False
    knows_old_blocks = True

    def block_hash(self, block: int) -> str:
        return f"0x{block:064x}"

    def head(self) -> int:
        if self.away:
            raise ChainUnreachable("no answer")
        return self.block

    def metagraph(self, block: int | None = None):
        if self.away or (block is not None and not self.knows_old_blocks):
            raise ChainUnreachable("no answer")
        return super().metagraph(block)


def chain(*more: Any, **ours: Any) -> SlotChain:
    return SlotChain(neurons=[neuron(0, US, **(PERMITTED | ours)), *more])


def configuration(**fields: Any):
    given = {"netuid": NETUID, "batch_tolerance_blocks": 3, "batch_outside_set": False}
    return configured(**(given | fields))


def seen(block: int) -> None:
    Snapshot.objects.create(block=block, tempo=9, neurons=1)


def plan(on: SlotChain, block: int | None = None, **fields: Any) -> Batch | None:
    if block is not None:
        on.block = block
        seen(block)
    schedule.plan(lambda: nullcontext(on), configuration(**fields))
    return Batch.objects.order_by("-cycle_start").first()


def due(on: SlotChain, block: int, *, has_executors: bool = True) -> Batch | None:
    on.block = block
    seen(block)
    return schedule.due(lambda: nullcontext(on), configuration(), has_executors=has_executors)


def test_a_batch_is_planned_when_its_cycle_begins() -> None:
    batch = plan(chain(), CYCLE.start)
    assert (batch.state, batch.cycle_start) == ("planned", CYCLE.start)
    assert (batch.slot_block, batch.slot_until) == (CYCLE.start, CYCLE.start + 3)
    assert (batch.slot_index, batch.slot_count) == (0, 1)
    plan(chain(), CYCLE.start + 5)
    assert Batch.objects.count() == 1


def test_its_slot_follows_from_the_stakes_and_a_block_hash() -> None:
    others = [neuron(n, f"v{n}", total_stake_rao=(1000 + n) * TAO) for n in range(1, 5)]
    batch = plan(chain(*others, neuron(9, "poor")), CYCLE.start)
    on = chain()
    stakes = {one.hotkey: one.total_stake_rao for one in [*on.neurons, *others]}
    seed = on.block_hash(CYCLE.start - 3)
    expected = slots.slot(CYCLE, US, stakes, seed, configuration().slot_policy)
    assert (batch.slot_index, batch.slot_count) == (expected.index, 5)
    assert batch.slot_block == expected.block


def test_a_node_without_the_first_block_of_the_cycle_is_asked_for_the_newest() -> None:
    on = chain()
    on.knows_old_blocks = False
    assert plan(on, CYCLE.start + 1).slot_block == CYCLE.start


@pytest.mark.parametrize(
    ("on", "because", "text"),
    [
        (SlotChain(neurons=[neuron(1, "other")]), "not_registered", "not registered"),
        (chain(validator_permit=False), "no_permit", "no validator permit"),
        (chain(total_stake_rao=999 * TAO), "not_in_set", "at least 1000 TAO: it has 999 TAO"),
    ],
)
def test_who_may_not_run_a_batch_is_told_why(on: SlotChain, because: str, text: str) -> None:
    batch = plan(on, CYCLE.start)
    assert (batch.state, batch.missed_because) == ("missed", because)
    assert text in batch.problem
    assert due(on, CYCLE.start) is None


def test_an_operator_may_have_it_run_all_the_same() -> None:
    on = chain(validator_permit=False, total_stake_rao=0)
    assert plan(on, CYCLE.start, batch_outside_set=True).state == "planned"


def test_a_chain_that_comes_back_in_time_has_the_batch_planned() -> None:
    on = chain()
    on.away = True
    batch = plan(on, CYCLE.start)
    assert (batch.state, batch.missed_because) == ("planned", "chain_unreadable")
    assert "no answer" in batch.problem
    on.away = False
    batch = plan(on, CYCLE.start + 1)
    assert (batch.slot_block, batch.missed_because, batch.problem) == (CYCLE.start, "", "")


def test_a_cycle_in_which_the_chain_could_not_be_read_is_missed_for_that() -> None:
    on = chain()
    on.away = True
    plan(on, CYCLE.start)
    on.away = False
    plan(on, CYCLE.stop)
    missed = Batch.objects.get(cycle_start=CYCLE.start)
    assert (missed.state, missed.missed_because) == ("missed", "chain_unreadable")
    assert missed.ended_at is not None


@pytest.mark.parametrize("was_unreadable", [False, True])
def test_cycles_without_a_worker_or_a_chain_are_noticed_afterwards(was_unreadable: bool) -> None:
    on = chain()
    assert due(on, CYCLE.start) is None
    plan(on, CYCLE.start)
    assert due(on, CYCLE.start)
    Batch.objects.update(state="done")
    Snapshot.objects.update(taken_at=timezone.now() - timedelta(days=1))
    if was_unreadable:
        plan(on)
    plan(on, CYCLE.start + 3 * LENGTH)
    rows = Batch.objects.order_by("cycle_start").values_list(
        "cycle_start", "state", "missed_because"
    )
    because = "chain_unreadable" if was_unreadable else "worker_down"
    assert list(rows) == [
        (CYCLE.start, "done", ""),
        (CYCLE.start + LENGTH, "missed", because),
        (CYCLE.start + 2 * LENGTH, "missed", because),
        (CYCLE.start + 3 * LENGTH, "planned", ""),
    ]


def test_an_old_trouble_with_the_chain_is_not_the_reason_of_a_later_gap() -> None:
    on = chain()
    plan(on, CYCLE.start)
    Batch.objects.update(state="done", unreadable_at=timezone.now())
    plan(on, CYCLE.start + 1)
    plan(on, CYCLE.start + 2 * LENGTH)
    assert Batch.objects.get(state="missed").missed_because == "worker_down"


def test_the_first_cycle_of_a_validator_is_no_gap_and_a_long_one_is_bounded() -> None:
    on = chain()
    plan(on, CYCLE.start)
    assert Batch.objects.count() == 1
    plan(on, CYCLE.start + 100 * LENGTH)
    assert Batch.objects.count() == 2 + schedule.MAX_GAP_CYCLES


def test_a_batch_is_due_in_its_slot_and_once() -> None:
    on = chain()
    Batch.objects.create(
        cycle_start=CYCLE.start,
        block=0,
        state="planned",
        seed="s",
        alive_at=timezone.now(),
        slot_block=CYCLE.start + 5,
        slot_until=CYCLE.start + 8,
    )
    assert due(on, CYCLE.start + 4) is None
    batch = due(on, CYCLE.start + 5)
    assert (batch.state, batch.block) == ("running", CYCLE.start + 5)
    assert due(on, CYCLE.start + 6) is None


def test_two_workers_start_a_batch_once() -> None:
    batch = plan(chain(), CYCLE.start)
    assert schedule.claim(batch, CYCLE.start)
    assert schedule.claim(batch, CYCLE.start) is None


def test_near_its_slot_the_chain_is_asked_and_a_snapshot_replaces_it() -> None:
    on = chain()
    plan(on, CYCLE.start)
    Snapshot.objects.all().delete()
    seen(CYCLE.start - 2)
    on.block, on.away = CYCLE.start, True
    config = configuration()
    assert schedule.due(lambda: nullcontext(on), config, has_executors=True) is None
    on.away = False
    assert schedule.due(lambda: nullcontext(on), config, has_executors=True)


@pytest.mark.parametrize(
    ("unreadable", "because"), [(False, "worker_down"), (True, "chain_unreadable")]
)
def test_a_slot_that_nobody_used_is_missed(unreadable: bool, because: str) -> None:
    on = chain()
    plan(on, CYCLE.start)
    if unreadable:
        Batch.objects.update(unreadable_at=timezone.now())
    assert due(on, CYCLE.start + 4) is None
    batch = Batch.objects.get()
    assert (batch.state, batch.missed_because) == ("missed", because)
    assert f"from block {CYCLE.start} to {CYCLE.start + 3}" in batch.problem


def test_before_anybody_declared_an_executor_the_batch_waits() -> None:
    on = chain()
    plan(on, CYCLE.start)
    assert due(on, CYCLE.start, has_executors=False) is None
    assert Batch.objects.get().state == "planned"
    assert due(on, CYCLE.start + 4, has_executors=False) is None
    batch = Batch.objects.get()
    assert (batch.state, batch.missed_because) == ("missed", "no_executors")


def test_executors_that_come_in_time_are_tested() -> None:
    on = chain()
    plan(on, CYCLE.start)
    assert due(on, CYCLE.start, has_executors=False) is None
    batch = due(on, CYCLE.start + 3)
    assert (batch.state, batch.missed_because, batch.problem) == ("running", "", "")


def test_a_batch_waits_in_its_slot_for_one_that_has_the_executors() -> None:
    on = chain()
    plan(on, CYCLE.start)
    extra = Batch.objects.create(block=1, seed="s", alive_at=timezone.now())
    assert due(on, CYCLE.start) is None
    Batch.objects.filter(pk=extra.pk).update(state="done")
    batch = due(on, CYCLE.start + 3)
    assert (batch.state, batch.missed_because, batch.problem) == ("running", "", "")


def test_a_slot_in_which_another_batch_ran_all_the_time_is_missed_for_that() -> None:
    on = chain()
    plan(on, CYCLE.start)
    extra = Batch.objects.create(block=1, seed="s", alive_at=timezone.now())
    assert due(on, CYCLE.start + 3) is None
    assert due(on, CYCLE.start + 4) is None
    missed = Batch.objects.get(cycle_start=CYCLE.start)
    assert (missed.state, missed.problem) == ("missed", f"Batch {extra.pk} was still running")


def test_without_a_batch_nothing_is_due() -> None:
    assert due(chain(), CYCLE.start) is None
