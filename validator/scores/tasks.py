"""Celery task that scores a cycle anew; the work is in `recompute`."""

from celery import shared_task

from validator.config import config
from validator.operators import work
from validator.scores import recompute as recomputing


@shared_task
def recompute(token: str) -> None:
    """Replace the scores of a cycle, as an operator confirmed."""
    work.run(token, lambda record: recomputing.recompute(record, config))
