"""Which work the weights of a cycle pay: every block once, also when cycles begin elsewhere.

The subnet's owner may change the tempo at any time, and with it where all cycles begin and end.
"""

from collections.abc import Iterable

from django.db.models import Max, QuerySet

from compute_horde.cycles import Cycle
from validator.network.tempos import cycle_length
from validator.scores.models import ScoredCycle
from validator.synthetic.models import Batch
from validator.weights import rules
from validator.weights.models import Submission, WeightsSet

State = WeightsSet.State


def work_due(cycle: Cycle, *, netuid: int, tempo: int) -> Cycle | None:
    """The blocks whose work the weights of `cycle` pay.

    Those of its row, if it has one. If earlier weights paid so much of the cycle before that none
    is left, or a part without a batch, then the blocks that were paid last: the same weights are
    set again, and that part is paid with the next cycle. None while an earlier transaction may yet
    pay them, and if weights of another cycle were set in this one's window already.
    """
    if row := WeightsSet.objects.filter(cycle_start=cycle.start).first():
        return blocks_of(row)
    others = WeightsSet.objects.exclude(cycle_start=cycle.start)
    before = rules.paid_cycle(cycle, netuid=netuid, tempo=tempo)
    settled = others.filter(state__in=(State.PUBLISHED, State.EMPTY))
    until = _scored(settled).aggregate(stop=Max("cycle_stop"))["stop"]
    start = before.start
    if until is not None:
        start = rules.first_unpaid(before, until, cycle_length(until))
    due = Cycle(start, before.stop, before.number)
    if start > before.start and not _has_batch(due):
        due = _last_published(others) or due
    else:
        due = _as_scored(due.start, due.stop)
    window = rules.window(cycle)
    if (
        due.start >= due.stop
        or others.filter(state=State.PUBLISHED, block__gte=window.start).exists()
    ):
        return None
    return None if _may_yet_be_paid(others, due, window) else due


def blocks_of(row: WeightsSet) -> Cycle:
    """The blocks whose work a row pays: as scored; before that, up to its own cycle."""
    return _as_scored(row.earned_in, row.cycle_start)


def paying(starts: Iterable[int]) -> dict[int, WeightsSet]:
    """The weights that pay the work from each of these blocks on.

    Of several rows that is the first that the chain accepted, which later ones only repeat; else
    the newest.
    """
    rows = WeightsSet.objects.filter(earned_in__in=list(starts)).defer("weights")
    found: dict[int, WeightsSet] = {}
    for row in rows.order_by("-cycle_start"):
        if row.state == State.PUBLISHED or row.earned_in not in found:
            found[row.earned_in] = row
    return found


def is_repeated(row: WeightsSet) -> bool:
    """Whether the row sets weights again that pay work which earlier ones paid already."""
    earlier = WeightsSet.objects.filter(
        earned_in=row.earned_in, cycle_start__lt=row.cycle_start, state=State.PUBLISHED
    )
    return earlier.exists()


def is_paid(work: Cycle, *, but_in: Cycle) -> bool:
    """Whether any of this work was paid by the weights of another cycle."""
    others = WeightsSet.objects.filter(state=State.PUBLISHED).exclude(cycle_start=but_in.start)
    scored = _scored(others)
    return scored.filter(cycle_start__lt=work.stop, cycle_stop__gt=work.start).exists()


def is_batch_running(work: Cycle) -> bool:
    """Whether a batch of the work that is paid has not ended yet."""
    return _batches(work).filter(state=Batch.State.RUNNING).exists()


def _has_batch(work: Cycle) -> bool:
    """Whether a batch is part of this work, or will be when it ends."""
    return _batches(work).filter(state__in=(Batch.State.RUNNING, Batch.State.DONE)).exists()


def _batches(work: Cycle) -> QuerySet[Batch]:
    return Batch.objects.filter(cycle_start__gte=work.start, cycle_start__lt=work.stop)


def _scored(rows: QuerySet[WeightsSet]) -> QuerySet[ScoredCycle]:
    """What was scored for these rows."""
    return ScoredCycle.objects.filter(cycle_start__in=rows.values("earned_in"))


def _as_scored(start: int, stop: int) -> Cycle:
    """The blocks from `start` on; what was scored once is paid as it was scored."""
    scored = ScoredCycle.objects.filter(cycle_start=start).values_list("cycle_stop", flat=True)
    known = scored.first()
    return Cycle(start, stop if known is None else known, 0)


def _last_published(others: QuerySet[WeightsSet]) -> Cycle | None:
    """The work that was paid last."""
    scored = _scored(others.filter(state=State.PUBLISHED)).order_by("-cycle_stop")
    last = scored.values_list("cycle_start", "cycle_stop").first()
    return Cycle(*last, 0) if last else None


def _may_yet_be_paid(others: QuerySet[WeightsSet], due: Cycle, window: range) -> bool:
    """Whether a transaction that nobody knows the end of would pay this work, or in this window."""
    sending = Submission.objects.filter(
        state=Submission.State.SENDING, weights_set__in=others
    ).select_related("weights_set")
    for one in sending:
        paid = blocks_of(one.weights_set)
        if paid.start < due.stop and due.start < paid.stop:
            return True
        if one.expires_in_block >= window.start:
            return True
    return False
