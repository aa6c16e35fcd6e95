"""What the admin page of a batch shows of its attempts: counts, and tables of texts."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, F, Max, QuerySet
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from compute_horde.faults import Culprit
from validator.scores.rules import counts_as
from validator.scoring.points.jobs import explained
from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.outcomes import Outcome

# More rows than a batch at 256 miners with 10 executors each has.
MAX_ROWS = 3000
HEADINGS = (
    "miner", "class", "kind", "outcome", "points", "at fault", "reason", "ready after",
    "answered after", "own delay", "excused by",
)  # fmt: skip
MINER_HEADINGS = (
    "miner", "class", "attempts", "outcomes", "at fault", "excused", "slowest answer",
    "how they count", "reasons",
)  # fmt: skip
COLUMNS = (
    "hotkey", "executor_class", "kind", "outcome", "points", "blamed", "verdict",
    "offered_at", "ready_at", "finished_at", "loop_delay_ms",
    "control_fault",
)  # fmt: skip


def by_outcome(batch: Batch) -> str:
    """How many attempts ended in which way, the most frequent first."""
    rows = Puzzle.objects.filter(batch=batch).order_by().values_list("outcome")
    counted = rows.annotate(count=Count("pk")).order_by("-count", "outcome")
    return ", ".join(f"{count} {outcome}" for outcome, count in counted) or "none"


def miners(batch: Batch) -> SafeString:
    """A table with a row for each miner and class: how its attempts ended, whose fault, and why."""
    groups: dict[tuple[str, str], list[_SameEnd]] = defaultdict(list)
    for hotkey, name, *group in _grouped(batch):
        groups[hotkey, name].append(_SameEnd(*group))
    rows = (
        (
            format_html('<a href="{}">{}</a>', attempts_url(batch.pk, hotkey, name), hotkey),
            name,
            *_texts_of(found),
        )
        for (hotkey, name), found in sorted(groups.items())
    )
    return _table(MINER_HEADINGS, rows)


def attempts_url(batch: int, hotkey: str = "", executor_class: str = "") -> str:
    """The list of attempts of a batch, where the other filters are; also of one miner or class."""
    wanted = {"batch__id__exact": str(batch)}
    if hotkey:
        wanted["hotkey__exact"] = hotkey
    if executor_class:
        wanted["executor_class__exact"] = executor_class
    return f"{reverse('admin:synthetic_puzzle_changelist')}?{urlencode(wanted)}"


def _grouped(batch: Batch) -> QuerySet[Puzzle, tuple[Any, ...]]:
    """Attempts of a batch that ended in the same way: how many, the slowest, and a reason."""
    rows = Puzzle.objects.filter(batch=batch).order_by()
    return rows.values_list("hotkey", "executor_class", "outcome", "blamed", "excused").annotate(
        number=Count("pk"),
        slowest=Max(F("finished_at") - Coalesce("ready_at", "offered_at")),
        verdict=Max("verdict"),
    )


class _SameEnd(NamedTuple):
    """Attempts of a miner and class that ended in the same way."""

    outcome: str
    blamed: str
    excused: bool
    number: int
    slowest: timedelta | None
    verdict: str


def _texts_of(groups: list[_SameEnd]) -> tuple[object, ...]:
    ordered = sorted(groups, key=lambda one: (-one.number, one.outcome))
    at_fault = sum(one.number for one in groups if one.blamed == Culprit.MINER and not one.excused)
    slowest = max((one.slowest for one in groups if one.slowest), default=None)
    return (
        sum(one.number for one in groups),
        ", ".join(f"{one.number} {one.outcome}" for one in ordered),
        at_fault,
        sum(one.number for one in groups if one.excused),
        "" if slowest is None else f"{slowest / timedelta(seconds=1):.3f} s",
        "; ".join(map(_counts, ordered)),
        "; ".join(sorted({one.verdict for one in groups if one.verdict})),
    )


def _counts(group: _SameEnd) -> str:
    """How these attempts count for the score, in the words of its explanation."""
    if group.outcome == Outcome.OPEN:
        return f"{group.number} not ended"
    outcome = counts_as(Outcome(group.outcome), Culprit(group.blamed), excused=group.excused)
    if outcome is None:
        return f"{group.number} do not count: not the miner's fault"
    reason, remedy = explained(outcome)
    return f"{group.number} {reason}" + (f": {remedy}" if remedy else "")


def attempts(batch: Batch) -> SafeString:
    """A table with a row for each attempt, by miner."""
    rows = Puzzle.objects.filter(batch=batch).order_by("hotkey", "id")
    return _table(HEADINGS, map(_texts, rows.values_list(*COLUMNS)[:MAX_ROWS]))


def _texts(row: tuple[object, ...]) -> tuple[object, ...]:
    hotkey, name, kind, outcome, points, blamed, verdict, *times = row
    offered, ready, finished, delay, fault = times
    at_fault = "" if outcome in {Outcome.CORRECT, Outcome.OPEN} else blamed
    own_delay = f"{delay:.0f} ms" if isinstance(delay, float) else ""
    after = _seconds(offered, ready), _seconds(ready or offered, finished)
    return hotkey, name, kind, outcome, points, at_fault, verdict, *after, own_delay, fault


def _seconds(since: object, until: object) -> str:
    if not isinstance(since, datetime) or not isinstance(until, datetime):
        return ""
    return f"{(until - since) / timedelta(seconds=1):.3f} s"


def _table(headings: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> SafeString:
    cells = "<td>{}</td>" * len(headings)
    return format_html(
        "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>",
        format_html_join("", "<th>{}</th>", ((one,) for one in headings)),
        format_html_join("\n", f"<tr>{cells}</tr>", rows),
    )
