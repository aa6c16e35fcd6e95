"""What every generated page has."""

from collections.abc import Iterable, Iterator
from typing import Any

NOTE = "<!-- Written by `python -m docs.generate`; change the code instead. -->\n"


def table(*head: str, rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Lines of a table; a cell may be empty."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join('' if cell is None else str(cell) for cell in row)} |"
    yield ""
