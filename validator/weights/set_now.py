"""The operator's button that sets weights now: its preview, and what a worker does.

The preview is made from what the worker read of the chain last; the worker asks the chain itself.
The window, the rate limit and the permit are the chain's and the network's: the button overrides
none, it only does not wait for the next try.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from fractions import Fraction
from typing import Any

from compute_horde.adapters.chain_port import Chain, Hyperparameters
from compute_horde.adapters.chain_port import Neuron as ChainNeuron
from compute_horde.cycles import Cycle, cycle_at
from compute_horde.django.confirmed_action import (
    ConfirmedAction,
    NotDoneError,
    Preview,
    PreviewTable,
    check_still_confirmed,
)
from validator.config import Config, config
from validator.network.actions import latest_snapshot
from validator.network.history import network_at
from validator.network.models import Neuron, Snapshot
from validator.network.network_state import NetworkState
from validator.operators.models import OperatorAction
from validator.operators.work import queue_for
from validator.scores.allowances import AllowanceRule
from validator.scores.collect import collect
from validator.scores.models import Score
from validator.scoring.formulas import score_cycle
from validator.scoring.parameters import LimitParameters
from validator.weights import actions, explanations, journal, rules, work_due
from validator.weights.alarms import NOT_READ
from validator.weights.models import Submission, WeightsSet

TASK = "validator.weights.tasks.set_weights_now"
NOTHING_DUE = (
    "The tempo was changed: weights of another cycle were set in this window, or may yet be "
    "included. Wait for the next window"
)
NOBODY = "Nobody who is registered earned anything: look at the outcomes of the batch"
State = WeightsSet.State
OpenChain = Callable[[], AbstractContextManager[Chain]]


def preview(config: Config) -> Preview:
    """The weights that would be set now, beside those on the chain, and what prevents it."""
    snapshot = latest_snapshot(config.snapshot_lifetime)
    if snapshot is None:
        return Preview(None, obstacles=[NOT_READ])
    cycle = cycle_at(snapshot.block, netuid=config.netuid, tempo=snapshot.tempo)
    paid = work_due.work_due(cycle, netuid=config.netuid, tempo=snapshot.tempo)
    if paid is None:
        return Preview(None, obstacles=[NOTHING_DUE])
    state = network_at(snapshot.block)
    known = _hyperparameters(state)
    values = weights_now(paid, config, _limits(known))
    held, held_since = on_chain()
    names = dict(Neuron.objects.filter(registered=True).values_list("uid", "hotkey"))
    rows = [
        (str(uid), names.get(uid, "nobody"), str(values.get(uid, 0)), str(held.get(uid, 0)))
        for uid in sorted(values.keys() | held.keys())
    ]
    window = rules.window(cycle)
    facts = [
        ("for the work", _of_blocks(paid, cycle)),
        ("set in the cycle that began in block", str(cycle.start)),
        ("window", f"blocks {window.start} to {window.stop - 1}, the chain is at {snapshot.block}"),
        ("weights on the chain", held_since),
    ]
    if trying := WeightsSet.objects.filter(cycle_start=cycle.start, state=State.TRYING).first():
        facts.append(("so far", explanations.why(trying)))
    headings = ("uid", "miner", "would be set", "on the chain")
    return Preview(
        decided=[cycle.start, sorted(values.items())],
        facts=facts,
        tables=[PreviewTable("Weights of 65535", headings, rows)],
        obstacles=[
            *([] if values else [NOBODY]),
            *_obstacles(cycle, paid, snapshot, config),
            *_refusals(state, known, config),
        ],
    )


def _of_blocks(paid: Cycle, cycle: Cycle) -> str:
    again = ", paid already: set again" if work_due.is_paid(paid, but_in=cycle) else ""
    return f"of blocks {paid.start} to {paid.stop - 1}{again}"


def weights_now(paid: Cycle, config: Config, limits: LimitParameters) -> dict[int, int]:
    """The weights by uid for the work of a cycle, scored for this only if it was not yet."""
    stored = Score.objects.filter(cycle__cycle_start=paid.start)
    weights = {hotkey: Fraction(u16) for hotkey, u16 in stored.values_list("hotkey", "u16")}
    if not weights:
        parameters = config.parameters(limits)
        facts = collect(paid, config.netuid, parameters, AllowanceRule.configured(config))
        scores = score_cycle(facts, parameters)
        weights = {miner.hotkey: Fraction(miner.u16) for miner in scores.miners}
    uids = dict(Neuron.objects.filter(registered=True).values_list("hotkey", "uid"))
    earned = {hotkey: weight for hotkey, weight in weights.items() if weight}
    return rules.u16_values(earned, uids, limits)


def on_chain() -> tuple[dict[int, int], str]:
    """The weights that were read back from the chain last, by uid, and when that was."""
    landed = WeightsSet.objects.filter(landing=WeightsSet.Landing.LANDED).first()
    sent = journal.accepted_submission(landed) if landed else None
    if landed is None or sent is None:
        return {}, "none of ours were read back yet"
    values = {int(uid): int(value) for uid, value in sent.values.items()}
    return values, f"read back in block {landed.landed_block}"


def _obstacles(cycle: Cycle, paid: Cycle, snapshot: Snapshot, config: Config) -> Iterator[str]:
    """What of the present cycle prevents a try, each with the next step."""
    if snapshot.block not in rules.window(cycle):
        yield f"{explanations.next_window()}. Wait for that"
    if work_due.is_batch_running(paid):
        yield "The batch of the cycle that is paid is still running: wait until it has ended"
    row = WeightsSet.objects.filter(cycle_start=cycle.start).first()
    if row and row.state in (State.PUBLISHED, State.FAILED):
        yield explanations.why(row)
    elif row and (sent := journal.open_submission(row)):
        yield (
            f"A transaction was sent in block {sent.sent_in_block} and may be included up to block "
            f"{sent.expires_in_block}: until then no other one is sent"
        )


def _refusals(state: NetworkState, known: Hyperparameters | None, config: Config) -> Iterator[str]:
    """What the chain would refuse weights for, by what was read of it last."""
    if known is None:
        yield "The subnet's hyperparameters were not read yet: does `validator worker` run?"
        return
    last = Submission.objects.filter(state=Submission.State.ACCEPTED).first()
    us = _us(state, config.hotkey.ss58_address, last.block if last else None)
    if found := rules.obstacle(us, known, state.block, config.weights_version):
        problem, until = found
        yield f"{problem}; the next try is possible in block {until}"


def _us(state: NetworkState, hotkey: str, last_update: int | None) -> ChainNeuron | None:
    past = state.neurons.get(hotkey)
    if past is None:
        return None
    return ChainNeuron(
        uid=past.uid,
        hotkey=hotkey,
        coldkey=past.coldkey,
        total_stake_rao=past.stake_rao,
        validator_permit=past.validator_permit,
        ip=past.ip,
        port=past.port,
        last_update=last_update or 0,
    )


def _hyperparameters(state: NetworkState) -> Hyperparameters | None:
    """Those that were logged; None when they were not, or by a version that knew fewer."""
    logged: Mapping[str, Any] = state.hyperparameters or {}
    names = {field.name for field in fields(Hyperparameters)}
    if not names - {"activity_cutoff"} <= logged.keys():
        return None
    return Hyperparameters(**{name: logged[name] for name in names & logged.keys()})


def _limits(known: Hyperparameters | None) -> LimitParameters:
    return actions.limits_of(known) if known else LimitParameters()


def try_now(record: OperatorAction, open_chain: OpenChain, config: Config) -> str:
    """Try once, whatever block the next try was put off to.

    Raises:
        NotDoneError: the chain has not accepted the weights.
    """
    check_still_confirmed(record, preview(config))
    snapshot = latest_snapshot(config.snapshot_lifetime)
    if snapshot is None:
        raise NotDoneError(NOT_READ)
    cycle = cycle_at(snapshot.block, netuid=config.netuid, tempo=snapshot.tempo)
    rows = WeightsSet.objects.filter(cycle_start=cycle.start)
    rows.filter(state=State.TRYING).update(next_try_block=0)
    # Scores may have been recomputed since nobody had earned anything.
    rows.filter(state=State.EMPTY).update(state=State.TRYING, is_computed=False, next_try_block=0)
    actions.set_weights_if_due(open_chain, config)
    row = rows.first()
    if row is None:
        raise NotDoneError("Nothing was done: the window has closed meanwhile")
    record.made(row)
    if row.state != State.PUBLISHED:
        raise NotDoneError(explanations.why(row))
    return explanations.why(row)


SET_WEIGHTS = ConfirmedAction(
    name="set weights",
    title="Set weights now",
    button="Set these weights",
    explanation=(
        "Sends the weights of the present cycle without waiting for the next try. The window, the "
        "chain's rate limit and our permit hold for this button as well."
    ),
    permission="weights.set_weights",
    records=OperatorAction,
    preview=lambda _: preview(config),
    queue=queue_for(TASK),
)
