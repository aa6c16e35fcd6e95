"""What an executor-hour earns, and when a job would lose money."""

from decimal import Decimal

import pytest

from compute_horde.hardware import ExecutorClass
from miner.earnings import rules
from miner.earnings.rules import Measured, PaidWork

TEST, GPU = ExecutorClass.always_on__test, ExecutorClass.always_on__gpu_24gb


def document(**amounts: str) -> dict[str, object]:
    names = {"test": TEST, "gpu": GPU, "burn": None}
    return {
        "items": [{"executor_class": names[name], "amount": one} for name, one in amounts.items()]
    }


def test_classes_share_the_pay_as_validators_explain_it_each_by_its_stake() -> None:
    documents = [
        (Decimal(3), document(test="0.2", gpu="0.2", burn="-0.3")),
        (Decimal(1), document(test="0.4")),
    ]
    assert rules.class_shares(documents) == {TEST: Decimal("0.625"), GPU: Decimal("0.375")}


def test_a_class_that_only_loses_has_no_share() -> None:
    assert rules.class_shares([(Decimal(1), document(test="0.2", gpu="-0.1"))]) == {TEST: 1}
    assert rules.class_shares([(Decimal(1), document(gpu="-0.1", burn="1"))]) == {}


def test_an_item_may_leave_out_its_class() -> None:
    items = [{"amount": "0.3", "reason": "burnt"}, {"executor_class": TEST, "amount": "0.2"}]
    assert rules.class_shares([(Decimal(1), {"items": items})]) == {TEST: 1}


def test_the_price_is_the_pay_of_the_class_by_its_hours() -> None:
    cycles = [
        PaidWork(Decimal(alpha), {TEST: Decimal("0.5")}, {TEST: Decimal(5), GPU: Decimal(2)})
        for alpha in (0, 40, 50)
    ]
    measured = Measured(cycles)
    assert (measured.price(TEST), measured.hours(TEST)) == (Decimal(3), Decimal(15))
    assert measured.price(GPU) == 0


SHARES = {TEST: Decimal(1)}
ENOUGH = PaidWork(Decimal(30), SHARES, {TEST: Decimal(5)})


@pytest.mark.parametrize(
    "measured",
    [
        Measured(),
        Measured([PaidWork(Decimal(30), SHARES, {TEST: Decimal("0.3")})] * 3),
        Measured([ENOUGH] * 2),
        Measured([*[ENOUGH] * 2, PaidWork(Decimal(30), SHARES, {GPU: Decimal(5)})]),
        Measured([PaidWork(Decimal(30), {}, {TEST: Decimal(5)})] * 3),
        Measured([PaidWork(Decimal(0), SHARES, {TEST: Decimal(5)})] * 3),
    ],
    ids=["nothing", "little work", "few cycles", "new class", "no scores", "no pay"],
)
def test_while_little_is_known_there_is_no_price(measured: Measured) -> None:
    assert Measured([ENOUGH] * 3).price(TEST) == 6
    assert measured.price(TEST) is None
    assert not rules.is_loss(Decimal(1), None)


def test_a_job_loses_money_where_it_earns_less_than_it_costs() -> None:
    assert rules.is_loss(Decimal("1.1"), Decimal(1))
    assert not rules.is_loss(Decimal(1), Decimal(1))
    assert rules.loss_text("always_on.test", Decimal("1.10"), Decimal(0)) == (
        "minimum price: a job of always_on.test would lose money here, where an executor-hour "
        "costs 1.1 alpha and earns 0"
    )


def test_every_cause_has_a_next_step() -> None:
    assert "MINER_COSTS" in rules.next_step(rules.BELOW_MINIMUM_PRICE)
    assert rules.next_step("unheard of") == rules.OTHERWISE
