"""What an executor-hour earns, and when a job would lose money."""

from decimal import Decimal

from compute_horde.hardware import ExecutorClass
from miner.earnings import rules
from miner.earnings.rules import Measured

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


def test_the_price_is_the_pay_of_the_class_by_its_hours() -> None:
    measured = Measured(Decimal(30), {TEST: Decimal("0.5")}, {TEST: Decimal(5), GPU: Decimal(2)})
    assert measured.price(TEST) == Decimal(3)
    assert measured.price(GPU) == 0


def test_with_little_work_or_without_scores_no_price_is_known() -> None:
    short = Measured(Decimal(30), {TEST: Decimal(1)}, {TEST: Decimal("0.9")})
    unexplained = Measured(Decimal(30), {}, {TEST: Decimal(5)})
    assert short.price(TEST) is short.price(GPU) is unexplained.price(TEST) is None
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
