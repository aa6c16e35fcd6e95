"""What earlier batches found: executors online in the peak cycle, and miners that are known."""

from collections.abc import Collection, Mapping

from django.db.models import Count, Q
from django.utils import timezone

from compute_horde.faults import Culprit
from compute_horde.hardware import ExecutorClass
from validator.synthetic.models import Batch, MeasuredMiner, Puzzle
from validator.synthetic.outcomes import Outcome

ONLINE = Q(outcome=Outcome.CORRECT) | Q(excused=True)
# Attempts that show nothing of the executor, since the validator failed.
UNKNOWN = (
    Q(outcome__in=(Outcome.OPEN, Outcome.VALIDATOR_FAILED, Outcome.INTERRUPTED))
    | Q(outcome=Outcome.UNREACHABLE, blamed=Culprit.NOBODY)
    | ~Q(control_fault="")
)


def online_in(cycle_start: int) -> dict[tuple[str, str], int | None]:
    """By miner and class, how many executors were online in a cycle: right or excused.

    A class that the miner declared without one online counts as 0. Of attempts that failed by the
    validator, the same part counts as online as of the others; a class with no others is None.
    Empty unless this validator completed the batch of that cycle.
    """
    puzzles = Puzzle.objects.filter(batch__cycle_start=cycle_start, batch__state=Batch.State.DONE)
    rows = puzzles.order_by().values_list("hotkey", "executor_class")
    counted = rows.annotate(
        online=Count("pk", filter=ONLINE), unknown=Count("pk", filter=UNKNOWN), all=Count("pk")
    )
    return {
        (hotkey, ExecutorClass(name)): _projected(online, tested=total - unknown, total=total)
        for hotkey, name, online, unknown, total in counted
    }


def _projected(online: int, *, tested: int, total: int) -> int | None:
    """How many of `total` are online, rounded up, when `online` of the `tested` ones are."""
    return -(-online * total // tested) if tested else None


def has_completed_a_batch() -> bool:
    """Whether this validator ever completed a batch that counted, and still knows of it."""
    return Batch.objects.filter(state=Batch.State.DONE, cycle_start__isnull=False).exists()


def known_miners(hotkeys: Collection[str], block: int) -> Mapping[str, MeasuredMiner]:
    """What is known of these miners; those unknown are stored as first seen at `block`."""
    MeasuredMiner.objects.bulk_create(
        [MeasuredMiner(hotkey=hotkey, first_seen_block=block) for hotkey in hotkeys],
        ignore_conflicts=True,
    )
    return MeasuredMiner.objects.in_bulk(list(hotkeys))


def note_answers(hotkeys: Collection[str]) -> None:
    """Store that these miners answered a batch now."""
    MeasuredMiner.objects.filter(pk__in=hotkeys).update(answered_at=timezone.now())
