"""Scores a cycle once and stores the scores with everything they were computed from."""

import logging
from decimal import Decimal

from django.db import transaction

from compute_horde import signing
from compute_horde.cycles import Cycle
from compute_horde.signing import Signer
from validator.scores.collect import collect
from validator.scores.documents import documents
from validator.scores.models import Score, ScoredCycle
from validator.scores.recording import facts_json, read_facts, read_parameters, recording
from validator.scoring.formulas import CycleScores, score_cycle
from validator.scoring.parameters import ScoringParameters

log = logging.getLogger(__name__)


def ensure_scored(
    cycle: Cycle, netuid: int, parameters: ScoringParameters, validator: Signer
) -> ScoredCycle:
    """The scored cycle; scored now when it was not yet. Scores that are stored never change."""
    known = ScoredCycle.objects.filter(cycle_start=cycle.start).first()
    if known is not None:
        return known
    facts = collect(cycle, netuid)
    scores = score_cycle(facts, parameters)
    with transaction.atomic():
        scored, is_new = ScoredCycle.objects.get_or_create(
            cycle_start=cycle.start,
            defaults={
                "cycle_stop": cycle.stop,
                "formula": parameters.formula.value,
                "version": parameters.version,
                "facts": facts_json(facts),
                "parameters": parameters.canonical_json(),
            },
        )
        if is_new:
            _store(scored, scores, validator)
    log.info("cycle scored", extra={"cycle": cycle.start, "miners": len(scores.miners)})
    return scored


def exported(cycle: ScoredCycle) -> str:
    """The recording of a scored cycle, which `replay` recomputes anywhere."""
    facts, parameters = read_facts(cycle.facts), read_parameters(cycle.parameters)
    return recording(facts, score_cycle(facts, parameters))


def _store(scored: ScoredCycle, scores: CycleScores, validator: Signer) -> None:
    texts = documents(
        scores,
        validator=validator.ss58_address,
        cycle_start=scored.cycle_start,
        cycle_stop=scored.cycle_stop,
    )
    Score.objects.bulk_create(
        Score(
            cycle=scored,
            hotkey=miner.hotkey,
            uid=miner.uid,
            share=Decimal(miner.share.numerator) / Decimal(miner.share.denominator),
            u16=miner.u16,
            document=texts[miner.hotkey],
            signature=signing.signed_hex(validator, texts[miner.hotkey].encode()),
        )
        for miner in scores.miners
    )
