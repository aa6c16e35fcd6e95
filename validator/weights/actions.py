"""Sets weights on the chain once per cycle, retries until it has them, and reads them back."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from compute_horde.adapters.chain_port import (
    Chain,
    ChainUnreachable,
    Hyperparameters,
    Metagraph,
    Neuron,
)
from compute_horde.cycles import Cycle, cycle_at
from compute_horde.errors import ChainError
from validator.config import Config
from validator.network.actions import latest_snapshot
from validator.network.models import Snapshot
from validator.scores.actions import ensure_scored
from validator.scores.allowances import AllowanceRule
from validator.scores.models import Score, ScoredCycle
from validator.scoring.parameters import LimitParameters
from validator.weights import journal, landing, missed, rules, work_due
from validator.weights.models import Submission, WeightsSet

log = logging.getLogger(__name__)

MAX_OUTCOME = 1000
AGAIN = "this work was paid before, and its weights are set again, since the tempo was changed"


def set_weights_if_due(
    open_chain: Callable[[], AbstractContextManager[Chain]], config: Config
) -> None:
    """Advance the weights of the present cycle by one step, and read back accepted ones."""
    snapshot = latest_snapshot(config.snapshot_lifetime)
    if snapshot is None:
        return
    cycle = cycle_at(snapshot.block, netuid=config.netuid, tempo=snapshot.tempo)
    _record_untried(cycle)
    # A question about an earlier cycle that the chain does not answer must not cost this window.
    for row in filter(None, (_unresolved(cycle, snapshot), _due(cycle, snapshot, config))):
        try:
            with open_chain() as chain:
                _advance(chain, config, row, cycle)
        except ChainError as exc:
            _postpone(row, f"{type(exc).__name__}: {exc}", until=snapshot.block + 1)
            _warn_if_in_danger(row, cycle, snapshot.block)
    if published := landing.due(snapshot.block):
        try:
            with open_chain() as chain:
                landing.read_back(chain, config.hotkey.ss58_address, published)
        except ChainError as exc:
            log.warning("weights not read back", extra={"problem": str(exc)})


def _record_untried(cycle: Cycle) -> None:
    """Mark earlier windows as failed in which nothing was tried, and say so."""
    found = [one for one in missed.untried(cycle) if not work_due.is_paid(_before(one), but_in=one)]
    WeightsSet.objects.bulk_create(
        [
            WeightsSet(
                cycle_start=one.start,
                earned_in=_before(one).start,
                state=WeightsSet.State.FAILED,
                outcome=missed.UNTRIED,
            )
            for one in found
        ],
        ignore_conflicts=True,
    )
    if found:
        log.error("a window for weights was missed", extra={"cycles": len(found), "why": "no try"})


def _before(cycle: Cycle) -> Cycle:
    """The cycle before, which is as long."""
    return Cycle(2 * cycle.start - cycle.stop, cycle.start, cycle.number - 1)


def _due(cycle: Cycle, snapshot: Snapshot, config: Config) -> WeightsSet | None:
    """The row of the cycle, if its window is open and its weights are not set yet."""
    if snapshot.block not in rules.window(cycle):
        return None
    work = work_due.work_due(cycle, netuid=config.netuid, tempo=snapshot.tempo)
    if work is None or work_due.is_batch_running(work):
        return None
    WeightsSet.objects.get_or_create(cycle_start=cycle.start, defaults={"earned_in": work.start})
    return WeightsSet.objects.filter(
        cycle_start=cycle.start, state=WeightsSet.State.TRYING, next_try_block__lte=snapshot.block
    ).first()


def _advance(chain: Chain, config: Config, row: WeightsSet, cycle: Cycle) -> None:
    """Find out what became of the last submission; send one when none can have an effect."""
    if not _compute(chain, row, config):
        return
    if (sent := journal.open_submission(row)) and not _resolve(chain, config, row, sent):
        return
    if row.cycle_start != cycle.start:
        return
    metagraph = chain.metagraph()
    us = _neuron(metagraph, config)
    if _was_included(chain, config, row, cycle, us):
        return
    hyperparameters, block = chain.hyperparameters(), metagraph.block
    if found := rules.obstacle(us, hyperparameters, block, config.weights_version):
        problem, until = found
        _postpone(row, problem, until=until)
        _warn_if_in_danger(row, cycle, block)
        return
    _submit(chain, config, row, cycle, metagraph, limits_of(hyperparameters))


def _compute(chain: Chain, row: WeightsSet, config: Config) -> bool:
    """Score the work that is paid, once; False when there is nothing to set."""
    if not row.is_computed:
        parameters = config.parameters(limits_of(chain.hyperparameters()))
        rule = AllowanceRule.configured(config)
        work = work_due.blocks_of(row)
        scored = ensure_scored(work, config.netuid, parameters, config.hotkey, rule)
        if scored is None:
            return False
        shares = scored.scores.filter(u16__gt=0).values_list("hotkey", "share")
        row.weights = {hotkey: format(share.normalize(), "f") for hotkey, share in shares}
        row.is_computed = True
        row.save(update_fields=["weights", "is_computed"])
    if not row.weights:
        _end(row, WeightsSet.State.EMPTY, "nobody earned anything")
    return bool(row.weights)


def limits_of(hyperparameters: Hyperparameters) -> LimitParameters:
    """The chain's limits on weights."""
    return LimitParameters(
        min_allowed_weights=hyperparameters.min_allowed_weights,
        max_weight=hyperparameters.max_weights_limit,
    )


def _resolve(chain: Chain, config: Config, row: WeightsSet, sent: Submission) -> bool:
    """Whether the submission that was sent is known to have no effect.

    Judged by the finalized chain: a block that may still be replaced proves nothing.
    """
    final = chain.finalized_head()
    us = _neuron(chain.metagraph(final), config)
    if (block := _included_in(chain, config, sent.sent_in_block, us)) is not None:
        _found_on_chain(row, sent, block)
        return False
    if final <= sent.expires_in_block:
        left = sent.expires_in_block - final + 1
        _postpone(row, f"the last transaction may still be included: {left} blocks left", until=0)
        return False
    journal.expire(sent)
    return True


def _submit(
    chain: Chain,
    config: Config,
    row: WeightsSet,
    cycle: Cycle,
    metagraph: Metagraph,
    limits: LimitParameters,
) -> None:
    block = metagraph.block
    with transaction.atomic():
        # Scores are replaced under the lock of their cycle, and only while no submission is stored.
        list(ScoredCycle.objects.select_for_update().filter(cycle_start=row.earned_in).only("pk"))
        WeightsSet.objects.select_for_update().get(pk=row.pk)
        values, sent = _begin(row, cycle, metagraph, limits)
    if sent is None:
        return
    WeightsSet.objects.filter(pk=row.pk).update(attempts=F("attempts") + 1)
    row.refresh_from_db(fields=["attempts"])
    try:
        accepted = chain.set_weights(
            values, version=config.weights_version, last_block=sent.expires_in_block
        )
    except ChainUnreachable as exc:
        # It may still be included, so it stays open until it is found or has expired.
        _postpone(row, f"{type(exc).__name__}: {exc}", until=block + 1)
    except ChainError as exc:
        journal.refuse(sent, str(exc))
        _postpone(row, f"{type(exc).__name__}: {exc}", until=block + 1)
    else:
        if journal.accept(sent, accepted):
            _published(row, sent)
        return
    _warn_if_in_danger(row, cycle, block)


def _begin(
    row: WeightsSet, cycle: Cycle, metagraph: Metagraph, limits: LimitParameters
) -> tuple[dict[int, int], Submission | None]:
    """The weights of the stored scores, and their stored submission, if they are to be sent."""
    hotkeys = {neuron.uid: neuron.hotkey for neuron in metagraph.neurons}
    uids = {hotkey: uid for uid, hotkey in hotkeys.items()}
    scores = Score.objects.filter(cycle__cycle_start=row.earned_in, u16__gt=0)
    weights = {hotkey: Fraction(u16) for hotkey, u16 in scores.values_list("hotkey", "u16")}
    values = rules.u16_values(weights, uids, limits)
    if not values:
        _end(row, WeightsSet.State.EMPTY, "nobody who is registered earned anything")
        return values, None
    validity = rules.validity_blocks(rules.window(cycle))
    sent = journal.begin(row, values, hotkeys, block=metagraph.block, validity_blocks=validity)
    return values, sent


def _was_included(
    chain: Chain, config: Config, row: WeightsSet, cycle: Cycle, us: Neuron | None
) -> bool:
    """Whether the chain has weights of this window after all, whatever was said of attempts."""
    if last := row.submissions.first():
        block = _included_in(chain, config, last.sent_in_block, us)
        if block is not None:
            _found_on_chain(row, last, block)
        return block is not None
    # Attempts of a version without submissions.
    if row.attempts and us and us.last_update >= rules.window(cycle).start:
        row.block = us.last_update
        _end(row, WeightsSet.State.PUBLISHED, "an earlier attempt was found on the chain")
        return True
    return False


def _included_in(chain: Chain, config: Config, since: int, us: Neuron | None) -> int | None:
    """The block from `since` on in which weights of ours were included, if there is one.

    Not every runtime moves `last_update` at a commit, so sealed weights are looked for as well.
    """
    if us and us.last_update >= since:
        return us.last_update
    commits = chain.weight_commits(config.hotkey.ss58_address)
    return max((commit.block for commit in commits if commit.block >= since), default=None)


def _found_on_chain(row: WeightsSet, sent: Submission, block: int) -> None:
    journal.found(sent, block)
    _published(row, sent, "an earlier attempt was found on the chain: ")


def _published(row: WeightsSet, sent: Submission, how: str = "") -> None:
    row.block, row.landing = sent.block, WeightsSet.Landing.OPEN
    sealed = f", sealed until round {sent.reveal_round}" if sent.reveal_round else ""
    again = f"; {AGAIN}" if work_due.is_repeated(row) else ""
    _end(row, WeightsSet.State.PUBLISHED, f"{how}accepted in block {sent.block}{sealed}{again}")


def _postpone(row: WeightsSet, problem: str, *, until: int) -> None:
    row.outcome = problem[:MAX_OUTCOME]
    row.next_try_block = until
    # Another worker may have found it on the chain meanwhile.
    still_trying = WeightsSet.objects.filter(pk=row.pk, state=WeightsSet.State.TRYING)
    still_trying.update(outcome=row.outcome, next_try_block=until)
    log.warning("weights not set", extra={"cycle": row.cycle_start, "problem": row.outcome})


def _end(row: WeightsSet, state: WeightsSet.State, outcome: str) -> None:
    row.state, row.outcome = state, outcome
    row.published_at = timezone.now() if state == WeightsSet.State.PUBLISHED else None
    row.save(update_fields=["state", "outcome", "block", "landing", "published_at"])
    log.info("weights of the cycle", extra={"cycle": row.cycle_start, "outcome": outcome})


def _warn_if_in_danger(row: WeightsSet, cycle: Cycle, block: int) -> None:
    window = rules.window(cycle)
    if row.cycle_start == cycle.start and rules.is_in_danger(window, block):
        log.error(
            "the window for weights is closing",
            extra={"cycle": row.cycle_start, "left": window.stop - block, "why": row.outcome},
        )


def _neuron(metagraph: Metagraph, config: Config) -> Neuron | None:
    ours = config.hotkey.ss58_address
    return next((neuron for neuron in metagraph.neurons if neuron.hotkey == ours), None)


def _unresolved(cycle: Cycle, snapshot: Snapshot) -> WeightsSet | None:
    """An earlier cycle's row whose last transaction may yet be included.

    Other rows of which the window closed before the chain accepted weights are marked as failed.
    """
    trying = WeightsSet.objects.filter(state=WeightsSet.State.TRYING)
    late = trying.exclude(cycle_start=cycle.start)
    open_ones = late.filter(submissions__state=Submission.State.SENDING)
    if missed := late.exclude(pk__in=open_ones.values("pk")).update(state=WeightsSet.State.FAILED):
        since = landing.epochs_since_landing(snapshot.block, snapshot.tempo)
        extra = {"cycles": missed, "epochs_since_landing": since}
        log.error("a window for weights was missed", extra=extra)
    return open_ones.first()
