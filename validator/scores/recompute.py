"""The operator's button that scores a cycle anew: its preview, and what a worker does.

Facts may be more complete than when the cycle was scored, and the settings or the formula others.
What was sent to the chain stays explained by the scores it came from: those are not replaced.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from compute_horde.cycles import Cycle
from compute_horde.django.confirmed_action import (
    ConfirmedAction,
    NotDoneError,
    Preview,
    PreviewTable,
    check_still_confirmed,
)
from validator.config import Config, config
from validator.operators.models import OperatorAction
from validator.operators.work import queue_for
from validator.scores.actions import store_scores
from validator.scores.allowances import AllowanceRule
from validator.scores.collect import collect
from validator.scores.models import ScoredCycle
from validator.scores.recording import RecordingError, facts_json, read_parameters
from validator.scoring.formulas import CycleScores, decimal_text, score_cycle
from validator.weights.models import Submission, WeightsSet

TASK = "validator.scores.tasks.recompute"
NOT_SCORED = "This cycle is not scored: it is once its weights are due, or it is deleted already"


@dataclass(frozen=True, slots=True)
class Recomputation:
    """What the scores of a cycle would be now, from which facts."""

    facts: str
    scores: CycleScores

    @property
    def facts_digest(self) -> str:
        """SHA-256 of the facts."""
        return hashlib.sha256(self.facts.encode()).hexdigest()

    def by_hotkey(self) -> dict[str, tuple[str, int]]:
        """The exact share and the weight of each miner."""
        return {one.hotkey: (decimal_text(one.share), one.u16) for one in self.scores.miners}


def recomputed(scored: ScoredCycle, config: Config) -> Recomputation:
    """Collect the facts again and score them by the settings of now, with the chain's limits then.

    Raises:
        RecordingError: the stored parameters cannot be read.
        ValueError: the facts contradict each other.
    """
    limits = read_parameters(scored.parameters).limits
    cycle, parameters = Cycle(scored.cycle_start, scored.cycle_stop, 0), config.parameters(limits)
    facts = collect(cycle, config.netuid, parameters, AllowanceRule.configured(config))
    return Recomputation(facts_json(facts), score_cycle(facts, parameters))


def preview(subject: str, config: Config) -> Preview:
    """The difference of the recomputed to the stored scores of the cycle that begins there."""
    scored = ScoredCycle.objects.filter(cycle_start=int(subject)).first()
    if scored is None:
        return Preview(None, obstacles=[NOT_SCORED])
    try:
        new = recomputed(scored, config)
    except (RecordingError, ValueError) as exc:
        return Preview(None, obstacles=[f"The cycle cannot be scored again: {exc}"])
    return _difference(scored, new)


def _difference(scored: ScoredCycle, new: Recomputation) -> Preview:
    stored = {
        hotkey: (format(share.normalize(), "f"), u16)
        for hotkey, share, u16 in scored.scores.values_list("hotkey", "share", "u16")
    }
    shares = new.by_hotkey()
    rows = [
        (hotkey, *_texts(stored.get(hotkey)), *_texts(shares.get(hotkey)))
        for hotkey in sorted(stored.keys() | shares.keys())
        if stored.get(hotkey) != shares.get(hotkey)
    ]
    parameters = new.scores.parameters
    has_same_facts = new.facts == scored.facts
    facts = [
        ("scores that change", f"{len(rows)} of {len(shares)}"),
        ("facts", "the same" if has_same_facts else "others than when the cycle was scored"),
        ("formula", f"{parameters.formula.value}, was {scored.formula}"),
        ("parameters", f"{parameters.version}, were {scored.version}"),
    ]
    headings = ("miner", "share", "weight of 65535", "share, recomputed", "weight, recomputed")
    return Preview(
        decided=[new.facts_digest, parameters.version, sorted([k, *v] for k, v in shares.items())],
        facts=facts,
        tables=[PreviewTable("Scores that change", headings, rows)],
        obstacles=list(_obstacles(scored, is_same=has_same_facts and not rows)),
    )


def _texts(score: tuple[str, int] | None) -> tuple[str, str]:
    return ("-", "-") if score is None else (score[0] or "0", str(score[1]))


def _obstacles(scored: ScoredCycle, *, is_same: bool) -> Iterator[str]:
    if is_same:
        yield "Nothing would change: facts and scores are those that are stored"
    if sent := sent_weights(scored.cycle_start):
        yield (
            f"Weights of these scores were sent to the chain in cycle {sent.cycle_start}, and stay "
            "explained by them. Change what the next cycle is scored by instead"
        )


def sent_weights(cycle_start: int) -> WeightsSet | None:
    """The weights that pay a cycle, if a transaction with them is, or may yet be, on the chain."""
    paying = WeightsSet.objects.filter(earned_in=cycle_start)
    sent = paying.filter(submissions__state__in=(Submission.State.SENDING, "accepted"))
    return (sent | paying.filter(state=WeightsSet.State.PUBLISHED)).distinct().first()


def replace(scored: ScoredCycle, new: Recomputation, config: Config) -> None:
    """Store the recomputed scores instead; weights that are not sent yet are computed from them.

    Raises:
        NotDoneError: weights were sent meanwhile.
    """
    with transaction.atomic():
        # Weights are sent under the same lock: either these scores are sent, or those. The row of
        # the weights may not exist yet.
        ScoredCycle.objects.select_for_update().only("pk").get(pk=scored.pk)
        paying = WeightsSet.objects.filter(earned_in=scored.cycle_start)
        if sent_weights(scored.cycle_start):
            raise NotDoneError("Nothing was done: the weights were sent to the chain meanwhile")
        parameters = new.scores.parameters
        scored.scores.all().delete()
        scored.formula, scored.version = parameters.formula.value, parameters.version
        scored.facts, scored.parameters = new.facts, parameters.canonical_json()
        scored.computed_at = timezone.now()
        scored.save()
        store_scores(scored, new.scores, config.hotkey)
        paying.filter(state=WeightsSet.State.TRYING).update(
            is_computed=False, weights={}, next_try_block=0
        )


def recompute(record: OperatorAction, config: Config) -> str:
    """Replace the scores, if they would be those that were confirmed."""
    scored = ScoredCycle.objects.filter(cycle_start=int(record.subject)).first()
    if scored is None:
        raise NotDoneError(f"Nothing was done. {NOT_SCORED}")
    # What is stored is what was compared: receipts may come at any time.
    new = recomputed(scored, config)
    shown = _difference(scored, new)
    check_still_confirmed(record, shown)
    replace(scored, new, config)
    record.made(scored)
    changed = dict(shown.facts)["scores that change"]
    return f"The cycle is scored anew: {changed} scores changed"


RECOMPUTE = ConfirmedAction(
    name="recompute scores",
    title="Recompute the scores of cycle",
    button="Replace the stored scores",
    explanation=(
        "Collects the facts of the cycle again, and scores them by the settings and the formula of "
        "now. The explanations that miners read are replaced and signed anew."
    ),
    permission="scores.recompute_scores",
    records=OperatorAction,
    preview=lambda subject: preview(subject, config),
    queue=queue_for(TASK),
)
