"""Line charts for admin pages: a bounded series of numbers, drawn in the browser by Chart.js.

A page shows one with the templates `compute_horde/chart.html` and, once in its head,
`compute_horde/chart_scripts.html`. The numbers are in the page as JSON and as a table, so they can
be read without scripts; nothing is loaded from other servers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.text import slugify

# What a page of a few hundred kilobytes holds, and a browser draws at once.
MAX_LINES = 50
MAX_POINTS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: a number for each label, None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class LineChart:
    """A chart with `labels` along its horizontal axis, in the order in which they are drawn.

    Raises:
        ValueError: it has more lines or points than a page shows, or a line has not a number or
            None for each label.
    """

    title: str
    labels: Sequence[str]
    lines: Sequence[Line]
    label_title: str = ""
    value_title: str = ""

    def __post_init__(self) -> None:
        """Refuse what a page cannot show."""
        if len(self.lines) > MAX_LINES or len(self.labels) > MAX_POINTS:
            raise ValueError(f"a chart shows {MAX_LINES} lines of {MAX_POINTS} points at most")
        if any(len(line.values) != len(self.labels) for line in self.lines):
            raise ValueError("a line of a chart needs a value for each label")

    @property
    def identifier(self) -> str:
        """The id of the chart's data in its page."""
        return f"chart-{slugify(self.title)}"

    @property
    def data(self) -> dict[str, Any]:
        """What the script reads."""
        return {
            "labels": list(self.labels),
            "lines": [{"name": line.name, "values": list(line.values)} for line in self.lines],
            "label_title": self.label_title,
            "value_title": self.value_title,
        }

    @property
    def rows(self) -> list[tuple[str, list[float | None]]]:
        """The table with the same numbers: each label with the value of each line, newest first."""
        columns = [line.values for line in self.lines]
        rows = [(label, [values[at] for values in columns]) for at, label in enumerate(self.labels)]
        return rows[::-1]
