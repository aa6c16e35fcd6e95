"""Deletes old rows in batches, so that neither memory nor locks grow with their number."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from django.db import models

BATCH_ROWS = 1000


def delete_in_batches(rows: models.QuerySet[models.Model], *, batch_rows: int = BATCH_ROWS) -> int:
    """Delete `rows` and the rows that refer to them; the number of deleted `rows`.

    Each batch is a transaction of its own, so an interruption keeps what was done. Only primary
    keys of one batch are in memory: PostgreSQL deletes the referring rows without sending them.
    """
    total = 0
    while deleted := delete_batch(rows, batch_rows=batch_rows):
        total += deleted
    return total


def delete_batch(rows: models.QuerySet[models.Model], *, batch_rows: int = BATCH_ROWS) -> int:
    """Delete at most `batch_rows` of `rows` in one transaction; the number, 0 at the end."""
    model = rows.model
    keys = list(rows.order_by().values_list("pk", flat=True)[:batch_rows])
    if not keys:
        return 0
    _, by_model = model._default_manager.filter(pk__in=keys).only("pk").delete()
    return by_model.get(model._meta.label, 0)


def run_command(
    service: str,
    arguments: Sequence[str],
    evict: Callable[[timedelta], Mapping[str, int]],
    default_days: int,
) -> None:
    """The command `python -m SERVICE evict`: parse `arguments`, call `evict`, print the counts."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {service} evict",
        description="Delete ended jobs, with what belongs to them, and other old rows, now.",
    )
    parser.add_argument(
        "--days",
        type=_positive,
        default=default_days,
        help="delete what is older than this (default: as configured, %(default)s)",
    )
    deleted = evict(timedelta(days=parser.parse_args(arguments).days))
    print("deleted:", ", ".join(f"{count} {name}" for name, count in deleted.items()))


def _positive(text: str) -> int:
    days = int(text)
    if days < 1:
        raise argparse.ArgumentTypeError("at least 1 day")
    return days
