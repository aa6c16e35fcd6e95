"""When batches are held."""

from celery import shared_task

from validator.config import config
from validator.synthetic import actions


@shared_task
def run_due_batch() -> None:
    """The cycle's batch, once per cycle."""
    actions.run_due(config)


@shared_task
def run_extra_batch() -> None:
    """A batch because an operator asked for it."""
    actions.run_extra(config)
