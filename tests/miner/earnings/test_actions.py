"""Scores and pay are stored once per cycle; the minimum price follows from them."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from miner.earnings import actions, score_client
from miner.earnings.declines import DeclinedOffer, store
from miner.earnings.models import ClassPrice, CyclePay, DeclineCount, ScoreDocument
from miner.earnings.score_client import verified
from miner.hotkeys.models import CycleMainHotkey
from tests.miner.conftest import MINER, PARTIES, VALIDATOR
from tests.miner.earnings.documents import explained, item
from tests.miner.earnings.rows import TEST, cycle, paid, scored, worked

pytestmark = pytest.mark.django_db

HOTKEY = MINER.ss58_address
COSTS = {TEST: Decimal(2)}


def test_a_score_is_stored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = explained(VALIDATOR, HOTKEY, item("always_on.test", "0.5"))

    async def fetch_all(sources: Any) -> Any:
        return [(one, *verified(text, one)) for one in sources]

    monkeypatch.setattr(score_client, "fetch_all", fetch_all)
    for _ in range(2):
        assert actions.read_scores({VALIDATOR.ss58_address: "http://v"}, [HOTKEY]) == 1
    row = ScoreDocument.objects.get()
    assert (row.validator_hotkey, row.miner_hotkey) == (VALIDATOR.ss58_address, HOTKEY)
    assert (row.cycle_start, row.cycle_stop) == (0, 722)


def test_the_pay_of_a_cycle_is_that_of_its_newest_epoch_for_all_its_epochs() -> None:
    for rao in (5, 7):
        actions.record_pay(722, {HOTKEY: rao})
    assert CyclePay.objects.values_list("cycle_start", "hotkey", "rao").get() == (722, HOTKEY, 14)


def _measured(*, earned: int, begun: int = 6) -> None:
    """Three cycles, each with two hours of work that `earned` alpha pays two cycles later.

    Of the six cycles from the first one to the present one in which all of that is known, so many
    have `begun`.
    """
    for number in range(1, begun + 1):
        row = cycle(number, hours_ago=3 * (7 - number))
        if number <= 3:
            worked(row.began_at + timedelta(hours=2.5), seconds=7200)
        if number <= 3 and number < begun:
            scored(row.cycle_start, item("always_on.test", "0.5"))
        # In the first cycles the miner was new.
        paid(row.cycle_start, Decimal(earned if number >= 3 else 0))


@pytest.mark.parametrize(("earned", "refused"), [(3, True), (4, False)])
def test_a_class_that_earns_less_than_it_costs_is_refused(earned: int, refused: bool) -> None:
    _measured(earned=earned)
    actions.update_prices(COSTS, {})
    row = ClassPrice.objects.get()
    assert (row.earned, row.source, row.hours) == (Decimal(earned) / 2, "measured", 6)
    assert list(actions.losses()) == [TEST] * refused


def test_a_price_of_the_settings_is_taken_instead_of_what_is_measured() -> None:
    _measured(earned=3)
    actions.update_prices(COSTS, {TEST: Decimal(2)})
    assert ClassPrice.objects.get().source == "setting"
    assert actions.losses() == {}
    actions.update_prices(COSTS, {TEST: Decimal("1.9")})
    assert "costs 2 alpha and earns 1.9" in actions.losses()[TEST]
    actions.update_prices({}, {})
    assert actions.losses() == {}


def test_what_nothing_is_known_of_is_offered() -> None:
    actions.update_prices(COSTS, {})
    assert ClassPrice.objects.values_list("earned", "source").get() == (None, "unknown")
    assert actions.losses() == {}


@pytest.mark.parametrize("begun", [2, 3, 4, 5])
def test_a_new_miner_is_not_locked_out_while_its_first_work_is_not_paid(begun: int) -> None:
    _measured(earned=1, begun=begun)
    actions.update_prices(COSTS, {})
    assert ClassPrice.objects.values_list("earned", "source").get() == (None, "unknown")
    assert actions.losses() == {}


@pytest.mark.parametrize("missing", ["pay", "scores", "scoring cycle", "paying cycle"])
def test_work_counts_only_with_all_that_is_about_it(missing: str) -> None:
    _measured(earned=3)
    start = 722
    match missing:
        case "pay":
            CyclePay.objects.filter(cycle_start=start + 2 * 722).delete()
        case "scores":
            ScoreDocument.objects.filter(cycle_start=start).delete()
        case "scoring cycle":
            CycleMainHotkey.objects.filter(cycle_start=start + 722).delete()
        case _:
            CycleMainHotkey.objects.filter(cycle_start=start + 2 * 722).delete()
    # The cycle that scores or pays some work has, or scores, work of its own too.
    kept = {"scoring cycle": 1, "paying cycle": 0}.get(missing, 2)
    assert actions.measure().hours(TEST) == 2 * kept
    assert actions.measure().price(TEST) is None


def test_what_is_too_old_is_deleted() -> None:
    paid(0, Decimal(1))
    paid(722, Decimal(1))
    scored(0)
    scored(722)
    store(Counter([DeclinedOffer(PARTIES, TEST, "busy", with_excuses=False)]))
    later = timezone.now() + timedelta(hours=1)
    assert actions.evict(timezone.now() - timedelta(hours=1), 722) == 2
    assert [one.objects.count() for one in (CyclePay, ScoreDocument, DeclineCount)] == [1, 1, 1]
    # Whatever cycle a validator wrote into its document.
    scored(10**12)
    assert actions.evict(later, 722) == 3
    assert actions.evict(later, None) == 0
    assert [one.objects.count() for one in (CyclePay, ScoreDocument, DeclineCount)] == [1, 0, 0]
