"""From scores to the share of each miner: dancing by size, peak penalty, limits, burn, u16."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from compute_horde.hardware import ExecutorClass
from validator.scoring import peak
from validator.scoring.burn import BurnRule, burned, main_burner
from validator.scoring.chain_limits import U16, limited_weights
from validator.scoring.facts import CycleFacts, by_miner
from validator.scoring.line_items import LineItem, Statement
from validator.scoring.parameters import Dancing, FormulaName, LimitParameters, ScoringParameters
from validator.scoring.u16 import scaled_to_max
from validator.scoring.units import UNITS, divided, rounded_to_sum

Statements = dict[str, Statement]
TOO_SMALL = "more of it: this is below the twelve decimals of a share"
NO_SHARE = "no miner earned anything in this cycle"
ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class MinerShare:
    """The weight of a miner: a share with twelve decimals, the chain's integer, and why.

    The amounts of `items` have twelve decimals too and sum to `share` exactly.
    """

    hotkey: str
    uid: int
    share: Fraction
    u16: int
    items: tuple[LineItem, ...]


def shares(
    scored: Mapping[str, Statement], facts: CycleFacts, parameters: ScoringParameters
) -> tuple[MinerShare, ...]:
    """The share of each registered miner, by uid; they sum to 1, or are all 0."""
    statements = with_size_bonus(scored, facts, parameters)
    statements = with_peak_penalty(statements, facts, parameters)
    statements = with_limits(statements, facts, parameters.limits)
    statements = with_burn(statements, facts, parameters)
    statements = with_limits(statements, facts, parameters.limits)
    return _rounded(statements, facts)


def with_size_bonus(
    scored: Mapping[str, Statement], facts: CycleFacts, parameters: ScoringParameters
) -> Statements:
    """The scores with the bonus of miners whose size differs between the last two peak cycles."""
    dancing = parameters.dancing
    if dancing.kind != Dancing.SIZE:
        return dict(scored)
    weights = _class_values(parameters)
    current, previous = by_miner(facts.peak_offered), by_miner(facts.previous_peak_offered)
    threshold, bonus = Fraction(dancing.size_threshold), Fraction(dancing.bonus)
    after: Statements = {}
    for hotkey, statement in scored.items():
        now = peak.size(current.get(hotkey, {}), weights)
        before = peak.size(previous.get(hotkey, {}), weights)
        is_known = bool(now or before)
        has_changed = is_known and peak.has_changed_size(now, before, threshold)
        total = statement.total * (1 + bonus if has_changed else ONE)
        reason = "dancing bonus: the size changed between peaks"
        after[hotkey] = statement.brought_to(total, reason, number=bonus)
    return after


def with_peak_penalty(
    scored: Mapping[str, Statement], facts: CycleFacts, parameters: ScoringParameters
) -> Statements:
    """The scores with the penalty of miners that keep too few executors after the peak."""
    if facts.is_peak:
        return dict(scored)
    now, at_peak = by_miner(facts.offered), by_miner(facts.peak_offered)
    ratio, penalty = Fraction(parameters.peak.minimum_ratio), Fraction(parameters.peak.penalty)
    after: Statements = {}
    for hotkey, statement in scored.items():
        few = peak.too_few_after_peak(now.get(hotkey, {}), at_peak.get(hotkey, {}), ratio)
        reason = f"fewer than {float(ratio):.0%} of the executors at the peak: {', '.join(few)}"
        total = statement.total * (penalty if few else ONE)
        after[hotkey] = statement.brought_to(total, reason, number=penalty)
    return after


def with_limits(
    scored: Mapping[str, Statement], facts: CycleFacts, limits: LimitParameters
) -> Statements:
    """The scores as shares that sum to 1, within the chain's limits."""
    total = sum((statement.total for statement in scored.values()), ZERO)
    if not total:
        return {hotkey: one.scaled(ZERO, remedy=NO_SHARE) for hotkey, one in scored.items()}
    uids = {miner.hotkey: miner.uid for miner in facts.miners}
    weights = limited_weights(
        {uids[hotkey]: statement.total / total for hotkey, statement in scored.items()},
        uids=list(uids.values()),
        min_weights=limits.min_allowed_weights,
        max_weight=limits.max_weight,
    )
    reason = f"chain's limits: {limits.min_allowed_weights} weights, each at most this share"
    most = Fraction(limits.max_weight, U16)
    return {
        hotkey: one.scaled(1 / total, remedy=NO_SHARE).brought_to(
            weights.get(uids[hotkey], ZERO), reason, number=most, unit="share"
        )
        for hotkey, one in scored.items()
    }


def with_burn(
    scored: Mapping[str, Statement], facts: CycleFacts, parameters: ScoringParameters
) -> Statements:
    """The shares after burning; without registered targets nothing is burned."""
    rule, main = burning(facts, parameters)
    after = burned({key: one.total for key, one in scored.items()}, rule, main=main)
    statements: Statements = {}
    for hotkey, statement in scored.items():
        reason = "burn target" if hotkey in rule.targets else "burned share"
        statements[hotkey] = statement.brought_to(
            after[hotkey], reason, number=rule.rate, unit="of all shares"
        )
    return statements


def burning(facts: CycleFacts, parameters: ScoringParameters) -> tuple[BurnRule, str | None]:
    """The rule with the registered targets only, and the main burner; None if nothing burns."""
    burn = parameters.burn
    targets = frozenset(burn.targets) & {miner.hotkey for miner in facts.miners}
    rule = BurnRule(targets, Fraction(burn.rate), Fraction(burn.partition))
    return rule, main_burner(targets, cycle_start=facts.cycle_start) if rule.rate else None


def _class_values(parameters: ScoringParameters) -> dict[ExecutorClass, Fraction]:
    values = parameters.class_weights
    if parameters.formula == FormulaName.SECONDS:
        values = parameters.seconds.class_values
    return {kind: Fraction(value) for kind, value in values.items()}


def _rounded(statements: Statements, facts: CycleFacts) -> tuple[MinerShare, ...]:
    miners = sorted(facts.miners, key=lambda one: one.uid)
    exact = {miner.hotkey: statements[miner.hotkey].total for miner in miners}
    u16 = scaled_to_max(list(exact.values()))
    units = divided(UNITS, exact) if any(exact.values()) else dict.fromkeys(exact, 0)
    found = []
    for miner, weight in zip(miners, u16, strict=True):
        items = statements[miner.hotkey].items
        amounts = rounded_to_sum(units[miner.hotkey], [item.amount * UNITS for item in items])
        rounded = tuple(
            replace(
                item,
                amount=Fraction(amount, UNITS),
                remedy=item.remedy or ("" if amount else TOO_SMALL),
            )
            for item, amount in zip(items, amounts, strict=True)
        )
        share = Fraction(units[miner.hotkey], UNITS)
        found.append(MinerShare(miner.hotkey, miner.uid, share, weight, rounded))
    return tuple(found)
