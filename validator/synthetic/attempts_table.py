"""What the admin page of a batch shows of its attempts: counts, and tables of texts."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.outcomes import Outcome

# More rows than a batch at 256 miners with 10 executors each has.
MAX_ROWS = 3000
HEADINGS = (
    "miner", "class", "kind", "outcome", "points", "at fault", "reason", "ready after",
    "answered after", "own delay", "excused by",
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
    """A table with a row for each miner: attempts, right answers, excused, faults."""
    rows = Puzzle.objects.filter(batch=batch).order_by("hotkey").values_list("hotkey")
    counted = rows.annotate(
        right=Count("pk", filter=Q(outcome=Outcome.CORRECT)),
        excused=Count("pk", filter=Q(excused=True)),
        faults=Count("pk", filter=Q(blamed="miner")),
        attempts=Count("pk"),
    )
    return _table(("miner", "right", "excused", "at fault", "attempts"), counted)


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
