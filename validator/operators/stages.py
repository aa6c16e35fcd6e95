"""The stages of a cycle for its page: what happened, what is wrong, and what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.urls import reverse

from compute_horde.cycles import Cycle
from compute_horde.vocabulary import ReceiptType
from validator.operators.block_clock import BlockClock
from validator.receipts.models import IssuedReceipt, PageCheckpoint, Receipt, TransferStatus
from validator.receipts.pages import page_at
from validator.scores.models import ScoredCycle
from validator.synthetic import attempts_table
from validator.synthetic.models import Batch
from validator.weights import explanations, rules, work_due
from validator.weights.models import WeightsSet

# Of more receipts in a cycle the rest is not counted.
COUNTED = 100_000
NEXT_STEPS: Mapping[str, str] = {
    Batch.Missed.WORKER_DOWN: (
        "Run `validator worker` and `validator beat`, and check that VALIDATOR_REDIS_URL answers"
    ),
    Batch.Missed.CHAIN_UNREADABLE: "Check the node at VALIDATOR_CHAIN_URL, or use another one",
    Batch.Missed.NOT_REGISTERED: "Register this validator's hotkey on the subnet",
    Batch.Missed.NO_PERMIT: "Stake more to this hotkey, until the chain gives it a permit",
    Batch.Missed.NOT_IN_SET: (
        "Stake more to this hotkey; only those with the highest stakes have slots"
    ),
    Batch.Missed.NO_EXECUTORS: (
        "Look at the manifests, and whether miners' addresses can be reached from here"
    ),
}
OF_ENDED: Mapping[str, str] = {
    Batch.State.FAILED: "Read the worker's log at that time; the next cycle has a batch of its own",
    Batch.State.INTERRUPTED: (
        "Let workers run through a batch: stop them between batches. The next cycle has its own"
    ),
}


@dataclass(frozen=True, slots=True)
class TimelineStage:
    """One part of a cycle's timeline.

    `facts` are pairs of label and text, `links` of text and address. `upcoming` says what comes
    next and when, `problem` what is wrong, and `next_step` what to do about it.
    """

    title: str
    state: str
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    upcoming: str = ""
    problem: str = ""
    next_step: str = ""


def batch_stage(cycle: Cycle, clock: BlockClock) -> TimelineStage:
    """The batch: planned, in its slot, ended, and how its attempts ended."""
    begun = Batch.objects.filter(cycle_start__gte=cycle.start, cycle_start__lt=cycle.stop)
    batch = begun.order_by("cycle_start").first()
    if batch is None:
        is_past = clock.is_known and clock.block >= cycle.stop
        problem = "No batch was planned in this cycle" if is_past else ""
        return TimelineStage(
            "Batch",
            "none",
            upcoming="" if is_past else f"It is planned from {clock.text(cycle.start)}",
            problem=problem,
            next_step=NEXT_STEPS[Batch.Missed.WORKER_DOWN] if is_past else "",
        )
    facts = [("outcomes", attempts_table.by_outcome(batch))]
    if batch.slot_block is not None:
        slot = f"{clock.text(batch.slot_block)}; at the latest in block {batch.slot_until}"
        place = f"{(batch.slot_index or 0) + 1} of {batch.slot_count}"
        facts = [("slot", slot), ("place among validators", place), *facts]
    if batch.state not in (Batch.State.PLANNED, Batch.State.MISSED):
        facts += [("began", f"{_time(batch.started_at)}, block {batch.block}")]
    if batch.ended_at:
        facts.append(("ended", _time(batch.ended_at)))
    facts += [("note", note) for note in batch.notes.splitlines()[:20]]
    step = NEXT_STEPS.get(batch.missed_because) or OF_ENDED.get(batch.state, "")
    is_planned = batch.state == Batch.State.PLANNED and batch.slot_block is not None
    return TimelineStage(
        "Batch",
        batch.state,
        tuple(facts),
        (
            ("the batch", reverse("admin:synthetic_batch_change", args=[batch.pk])),
            ("its attempts", attempts_table.attempts_url(batch.pk)),
        ),
        upcoming=f"It begins at {clock.text(batch.slot_block or 0)}" if is_planned else "",
        problem=batch.problem or batch.missed_because,
        next_step=step,
    )


def receipts_stage(since: datetime | None, until: datetime | None) -> TimelineStage:
    """The receipts of the time of the cycle: issued here, fetched from miners, and failures."""
    if since is None:
        return TimelineStage("Receipts", "the cycle has not begun, or the chain was not seen then")
    issued = IssuedReceipt.objects.filter(issued_at__gte=since).order_by("issued_at")
    fetched = Receipt.objects.filter(timestamp__gte=since).order_by("timestamp")
    pages = PageCheckpoint.objects.filter(page__gte=page_at(since.timestamp()))
    failed = TransferStatus.objects.filter(failed_at__gte=since)
    if until is not None:
        issued, fetched = issued.filter(issued_at__lt=until), fetched.filter(timestamp__lt=until)
        pages = pages.filter(page__lte=page_at(until.timestamp()))
        failed = failed.filter(failed_at__lt=until)
    broken = _counted(pages.exclude(given_up="").values_list("given_up"))
    silent = _counted(failed.exclude(problem="").values_list("problem"))
    problems = [f"pages given up: {broken}"] if broken else []
    problems += [f"miners whose last failed fetch was then: {silent}"] if silent else []
    return TimelineStage(
        "Receipts",
        "fetched while the cycle runs" if until is None else "fetched",
        (
            ("of this time", f"{_time(since)} to {_time(until) if until else 'now'}"),
            ("issued here", _by_type(issued)),
            ("fetched from miners", _by_type(fetched)),
        ),
        (
            ("fetched receipts", reverse("admin:receipts_receipt_changelist")),
            ("transfer by miner", reverse("admin:receipts_transferstatus_changelist")),
        ),
        problem="; ".join(problems),
        next_step=(
            "Nothing, if these miners are down; else see whether this machine reaches them"
            if problems
            else ""
        ),
    )


def scores_stage(cycle: Cycle, clock: BlockClock) -> TimelineStage:
    """The scores of the cycle's work."""
    scored = (
        ScoredCycle.objects.filter(cycle_start=cycle.start).defer("facts", "parameters").first()
    )
    if scored is None and (whole := _scored_with(cycle)):
        return _elsewhere("Scores", whole)
    if scored is None:
        return _until_its_window(cycle, clock, "Scores", "not scored", "It is scored from")
    miners = scored.scores.aggregate(all=Count("pk"), paid=Count("pk", filter=Q(u16__gt=0)))
    return TimelineStage(
        "Scores",
        "scored",
        (
            ("scored", _time(scored.computed_at)),
            ("formula", f"{scored.formula}, parameters {scored.version}"),
            ("miners", f"{miners['paid']} of {miners['all']} earned something"),
        ),
        (
            ("the scores", reverse("admin:scores_scoredcycle_change", args=[scored.pk])),
            ("why each miner earned what", f"{_scores_url()}?cycle__id__exact={scored.pk}"),
        ),
        problem="" if miners["paid"] else "Nobody earned anything",
        next_step="" if miners["paid"] else "Look at the outcomes of the batch",
    )


def weights_stage(cycle: Cycle, clock: BlockClock) -> TimelineStage:
    """The weights that pay the cycle, set in the next one: each transaction, and the verdict."""
    row = work_due.paying([cycle.start]).get(cycle.start)
    if row is None and (whole := _scored_with(cycle)):
        return _elsewhere("Weights", whole)
    if row is None:
        return _until_its_window(cycle, clock, "Weights", "not set", "The window opens at")
    sent = [
        (
            f"sent in block {one.sent_in_block}",
            f"{one.state}, {_time(one.began_at)}"
            + (f", included in block {one.block}" if one.block is not None else "")
            + (f", sealed until round {one.reveal_round}" if one.reveal_round else "")
            + (f": {one.problem}" if one.problem else ""),
        )
        for one in row.submissions.all()
    ]
    return TimelineStage(
        "Weights",
        row.state,
        (
            ("computed", f"{len(row.weights)} miners" if row.is_computed else "not yet"),
            *sent[::-1],
            ("verdict", row.landing if row.state == WeightsSet.State.PUBLISHED else "-"),
            ("in a sentence", explanations.why(row)),
        ),
        (("the weights", reverse("admin:weights_weightsset_change", args=[row.pk])),),
        upcoming=_upcoming(row, clock),
        problem=explanations.problem(row),
        next_step=explanations.next_step(row),
    )


def _until_its_window(
    cycle: Cycle, clock: BlockClock, title: str, state: str, upcoming: str
) -> TimelineStage:
    """What is done in the window for the cycle's weights, while it is not done yet."""
    window = rules.window(following(cycle))
    if clock.is_known and clock.block >= window.stop:
        step = NEXT_STEPS[Batch.Missed.WORKER_DOWN]
        problem = "The window for its weights is over"
        return TimelineStage(title, state, problem=problem, next_step=step)
    return TimelineStage(title, state, upcoming=f"{upcoming} {clock.text(window.start)}")


def _scored_with(cycle: Cycle) -> ScoredCycle | None:
    """What was scored as one with the beginning of this cycle, after a change of the tempo."""
    scored = ScoredCycle.objects.filter(cycle_start__lt=cycle.start, cycle_stop__gt=cycle.start)
    return scored.defer("facts", "parameters").order_by("cycle_stop").last()


def _elsewhere(title: str, whole: ScoredCycle) -> TimelineStage:
    blocks = f"blocks {whole.cycle_start} to {whole.cycle_stop - 1}"
    text = "the tempo was changed: its work is scored and paid as part of these blocks"
    address = reverse("admin:scores_scoredcycle_change", args=[whole.pk])
    return TimelineStage(title, f"with {blocks}", (("why", text),), ((blocks, address),))


def following(cycle: Cycle) -> Cycle:
    """The cycle after this one, in which its work is paid."""
    return Cycle(cycle.stop, 2 * cycle.stop - cycle.start, cycle.number + 1)


def _upcoming(row: WeightsSet, clock: BlockClock) -> str:
    if row.state == WeightsSet.State.TRYING:
        return f"The next try is at {clock.text(max(row.next_try_block, clock.block))}"
    if row.state == WeightsSet.State.PUBLISHED and row.landing == WeightsSet.Landing.OPEN:
        return "They are read back as soon as the chain has opened them"
    return ""


def _by_type(rows: QuerySet[Any, Any]) -> str:
    filters = {f"of_{kind.name.lower()}": Q(receipt_type=kind.value) for kind in ReceiptType}
    counted = rows.values("receipt_type")[:COUNTED].aggregate(
        **{name: Count("receipt_type", filter=one) for name, one in filters.items()}
    )
    total = sum(counted.values())
    texts = [f"{count} {name.removeprefix('of_')}" for name, count in counted.items() if count]
    more = " (and more)" if total >= COUNTED else ""
    return f"{total}{more}" + (f": {', '.join(texts)}" if texts else "")


def _counted(rows: QuerySet[Any, Any]) -> str:
    counts = rows.order_by().annotate(number=Count("pk")).order_by("-number")[:10]
    return ", ".join(f"{number} {name}" for name, number in counts)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _scores_url() -> str:
    return reverse("admin:scores_score_changelist")
