"""From points in each class to a score of each miner: horde score, main hotkey, class weights."""

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction

from compute_horde.hardware import ExecutorClass
from validator.scoring.class_weighting import weighted_scores
from validator.scoring.facts import CycleFacts, MainHotkeys
from validator.scoring.horde_score import size_factor
from validator.scoring.line_items import Statement, combined
from validator.scoring.main_hotkey import MainHotkeyRule, has_moved, split
from validator.scoring.parameters import Dancing, FormulaName, HordeParameters, ScoringParameters
from validator.scoring.points.class_points import ClassPoints

# Points that are compared with each other: of a class or, in the formula `seconds`, all points.
ALL_CLASSES = ""
Group = dict[str, Statement]
ZERO = Fraction(0)


def scores(
    points: Iterable[ClassPoints], facts: CycleFacts, parameters: ScoringParameters
) -> dict[str, Statement]:
    """The score of each registered miner; the scores of a class sum to its weight."""
    groups = _groups([with_horde_score(one, parameters.horde) for one in points], parameters)
    merged: dict[str, list[Statement]] = {miner.hotkey: [] for miner in facts.miners}
    for key, group in groups.items():
        kind = None if key == ALL_CLASSES else ExecutorClass(key)
        moved = over_hotkeys(group, facts, parameters, kind)
        for hotkey, statement in _weighted(moved, _weight(key, parameters)).items():
            merged[hotkey].append(statement)
    return {hotkey: combined(statements) for hotkey, statements in merged.items()}


def with_horde_score(points: ClassPoints, horde: HordeParameters) -> ClassPoints:
    """The points after the horde score, if the class has one."""
    if points.executor_class not in horde.classes or not points.horde_points:
        return points
    size = max(points.horde_size, 1)
    factor = size_factor(
        points.horde_points,
        size,
        alpha=Fraction(horde.alpha),
        beta=Fraction(horde.beta),
        delta=Fraction(horde.delta),
    )
    total = points.statement.total + points.horde_points * (factor - 1)
    reason = f"horde score of {size} jobs or executors"
    kind = points.executor_class
    statement = points.statement.brought_to(total, reason, number=factor, executor_class=kind)
    return ClassPoints(points.hotkey, kind, statement)


def over_hotkeys(
    group: Group, facts: CycleFacts, parameters: ScoringParameters, kind: ExecutorClass | None
) -> Group:
    """The points of a class after the main hotkey's split and, where it moved, the bonus.

    `kind` is the class; None for points of all classes together.
    """
    dancing = parameters.dancing
    is_dance = dancing.kind == Dancing.MAIN_HOTKEY
    bonus = Fraction(dancing.bonus) if is_dance else ZERO
    named = {one.coldkey: one for one in facts.main_hotkeys}
    after = dict(group)
    for coldkey, hotkeys in _hotkeys(facts).items():
        main = named.get(coldkey, MainHotkeys(coldkey or "unknown"))
        own = {hotkey: group.get(hotkey, Statement()) for hotkey in hotkeys}
        if has_moved(main.now, main.before):
            own = {hotkey: _danced(one, bonus, kind) for hotkey, one in own.items()}
        if dancing.main_hotkey_share is not None:
            own = _split(own, main, Fraction(dancing.main_hotkey_share), kind)
        after.update(own)
    return after


def _hotkeys(facts: CycleFacts) -> dict[str, list[str]]:
    """The hotkeys of each coldkey; where it is not known, a hotkey is alone."""
    found: dict[str, list[str]] = defaultdict(list)
    for miner in sorted(facts.miners, key=lambda one: one.uid):
        if miner.coldkey:
            found[miner.coldkey].append(miner.hotkey)
    return found


def _danced(statement: Statement, bonus: Fraction, kind: ExecutorClass | None) -> Statement:
    reason = "dancing bonus: the main hotkey changed"
    total = statement.total * (1 + bonus)
    return statement.brought_to(total, reason, number=bonus, executor_class=kind)


def _split(own: Group, main: MainHotkeys, share: Fraction, kind: ExecutorClass | None) -> Group:
    total = sum((statement.total for statement in own.values()), ZERO)
    rule = MainHotkeyRule(share, ZERO)
    parts = split(list(own), total, now=main.now, before=None, rule=rule)
    after: Group = {}
    for hotkey, statement in own.items():
        if main.now not in own:
            reason = "split: hotkeys of a coldkey without a main hotkey get the same"
        elif hotkey == main.now:
            reason = "split: what the main hotkey gets of its coldkey's points"
        else:
            reason = "split: what a hotkey that is not the main one gets"
        part = parts[hotkey] / total if total else ZERO
        after[hotkey] = statement.brought_to(
            parts[hotkey],
            reason,
            number=part,
            unit="of the coldkey's points",
            executor_class=kind,
        )
    return after


def _groups(points: Iterable[ClassPoints], parameters: ScoringParameters) -> dict[str, Group]:
    found: dict[str, dict[str, list[Statement]]] = {}
    for one in points:
        together = parameters.formula == FormulaName.SECONDS
        key = ALL_CLASSES if together else str(one.executor_class)
        found.setdefault(key, {}).setdefault(one.hotkey, []).append(one.statement)
    return {
        key: {hotkey: combined(statements) for hotkey, statements in group.items()}
        for key, group in found.items()
    }


def _weight(key: str, parameters: ScoringParameters) -> Fraction:
    if key == ALL_CLASSES:
        return Fraction(1)
    return Fraction(parameters.class_weights.get(ExecutorClass(key), 0))


def _weighted(group: Group, weight: Fraction) -> Group:
    """The statements in parts of the class's weight."""
    totals = {hotkey: statement.total for hotkey, statement in group.items()}
    total = sum(totals.values(), ZERO)
    if not total:
        remedy = "no miner earned points of this class"
        return {hotkey: one.scaled(ZERO, remedy=remedy) for hotkey, one in group.items()}
    weighted = weighted_scores(totals, weight)
    scaled = {
        hotkey: one.scaled(weight / total, remedy="the class has no weight")
        for hotkey, one in group.items()
    }
    if any(scaled[hotkey].total != weighted[hotkey] for hotkey in group):
        raise AssertionError("line items do not sum to their score")
    return scaled
