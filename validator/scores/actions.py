"""Scores a cycle once and stores the scores with everything they were computed from."""

import logging
from decimal import Decimal

from django.db import connection, transaction

from compute_horde import signing
from compute_horde.cycles import Cycle
from compute_horde.errors import ConfigurationError
from compute_horde.signing import Signer
from validator.scores.allowances import AllowanceRule
from validator.scores.collect import collect
from validator.scores.documents import documents
from validator.scores.models import Score, ScoredCycle
from validator.scores.recording import facts_json, read_facts, read_parameters, recording
from validator.scoring.formulas import CycleScores, score_cycle
from validator.scoring.parameters import ScoringParameters

log = logging.getLogger(__name__)


class ScoresDifferError(ConfigurationError):
    """Stored scores cannot be computed again by this version."""


def ensure_scored(
    cycle: Cycle,
    netuid: int,
    parameters: ScoringParameters,
    validator: Signer,
    rule: AllowanceRule | None = None,
) -> ScoredCycle | None:
    """The scored cycle; scored now when it was not yet. Scores that are stored never change.

    `rule` says what counts for allowance. None while another worker scores it.
    """
    rule = rule or AllowanceRule(validator.ss58_address)
    known = ScoredCycle.objects.filter(cycle_start=cycle.start).first()
    if known is not None:
        return known
    with transaction.atomic():
        if not _try_lock():
            return None
        known = ScoredCycle.objects.filter(cycle_start=cycle.start).first()
        return known or _score(cycle, netuid, parameters, validator, rule)


def exported(cycle: ScoredCycle) -> str:
    """The recording of a scored cycle, which `replay` recomputes anywhere.

    Raises:
        ScoresDifferError: this version of the formula gives other scores than those stored.
    """
    facts, parameters = read_facts(cycle.facts), read_parameters(cycle.parameters)
    scores = score_cycle(facts, parameters)
    stored = dict(cycle.scores.values_list("hotkey", "u16"))
    if {miner.hotkey: miner.u16 for miner in scores.miners} != stored:
        raise ScoresDifferError(
            f"the scores of cycle {cycle.cycle_start} were computed by another version of the "
            f"formula {cycle.formula}: export them with that version"
        )
    return recording(facts, scores)


def _try_lock() -> bool:
    """Whether this transaction may score; the lock ends with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('validator scores'))")
        return bool(cursor.fetchone()[0])


def _score(
    cycle: Cycle,
    netuid: int,
    parameters: ScoringParameters,
    validator: Signer,
    rule: AllowanceRule,
) -> ScoredCycle:
    facts = collect(cycle, netuid, parameters, rule)
    scores = score_cycle(facts, parameters)
    scored = ScoredCycle.objects.create(
        cycle_start=cycle.start,
        cycle_stop=cycle.stop,
        formula=parameters.formula.value,
        version=parameters.version,
        facts=facts_json(facts),
        parameters=parameters.canonical_json(),
    )
    store_scores(scored, scores, validator)
    log.info("cycle scored", extra={"cycle": cycle.start, "miners": len(scores.miners)})
    return scored


def store_scores(scored: ScoredCycle, scores: CycleScores, validator: Signer) -> None:
    """Store the score of each miner, with its signed explanation."""
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
