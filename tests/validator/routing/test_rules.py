"""Which miners may get a job, in which order, and why none did."""

import pytest

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from validator.routing import rules
from validator.routing.rules import MinerSlots, PlacementRequest

CLASS = ExecutorClass.always_on__test


def placement(**fields) -> PlacementRequest:
    return PlacementRequest("job", CLASS, **fields)


def test_the_least_busy_share_is_asked_first() -> None:
    candidates = [
        MinerSlots("half", 2, 1),
        MinerSlots("quarter", 4, 1),
        MinerSlots("most", 10, 9),
        MinerSlots("idle", 1, 0),
    ]
    assert rules.ranked_by_load(placement(), candidates) == ["idle", "quarter", "half", "most"]


@pytest.mark.parametrize(
    "seat",
    [
        MinerSlots("m", 0, 0),
        MinerSlots("m", 2, 2),
        MinerSlots("m", 2, 0, reachable=False),
        MinerSlots("m", 2, 0, backing_off=True),
    ],
)
def test_a_miner_without_a_free_executor_is_not_asked(seat: MinerSlots) -> None:
    assert rules.ranked_by_load(placement(), [seat]) == []


def test_ties_are_drawn_by_lot_and_the_lot_is_fair() -> None:
    candidates = [MinerSlots(name, 4, 0) for name in "abcd"]
    firsts = [
        rules.ranked_by_load(PlacementRequest(f"job-{n}", CLASS), candidates)[0] for n in range(400)
    ]
    assert all(70 <= firsts.count(name) <= 130 for name in "abcd")
    assert rules.ranked_by_load(placement(), candidates) == rules.ranked_by_load(
        placement(), reversed(candidates)
    )


def test_a_wanted_miner_and_no_other_is_asked() -> None:
    candidates = [MinerSlots("a", 4, 0), MinerSlots("b", 4, 3)]
    assert rules.ranked_by_load(placement(miner="b"), candidates) == ["b"]
    assert rules.ranked_by_load(placement(excluded=frozenset("a")), candidates) == ["b"]


def test_the_trusted_miner_gets_only_what_is_meant_for_it() -> None:
    candidates = [MinerSlots(TRUSTED_MINER_HOTKEY, 4, 0), MinerSlots("a", 4, 3)]
    assert rules.ranked_by_load(placement(), candidates) == ["a"]
    assert rules.ranked_by_load(placement(miner=TRUSTED_MINER_HOTKEY), candidates) == [
        TRUSTED_MINER_HOTKEY
    ]


def test_why_no_miner_took_a_job() -> None:
    busy, absent, away = (
        MinerSlots("a", 1, 1),
        MinerSlots("a", 0, 0),
        MinerSlots("a", 1, 0, reachable=False),
    )
    assert rules.rejection_text(placement(), [busy]) == rules.ALL_BUSY
    assert rules.rejection_text(placement(), [absent]) == rules.NO_MINER
    assert rules.rejection_text(placement(miner=TRUSTED_MINER_HOTKEY), []) == rules.NO_TRUSTED_MINER
    assert rules.all_unreachable(placement(), [away])
    assert not rules.all_unreachable(placement(), [away, busy])
    assert not rules.all_unreachable(placement(), [])
