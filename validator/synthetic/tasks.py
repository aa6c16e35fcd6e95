"""When batches are held."""

from celery import shared_task

from validator import chain
from validator.config import config
from validator.synthetic import actions


@shared_task(queue="jobs")
def run_due_batch() -> None:
    """The cycle's batch, once per cycle."""
    with chain.opened() as now:
        actions.run_due(now, config)


@shared_task(queue="jobs")
def run_extra_batch() -> None:
    """A batch because an operator asked for it."""
    with chain.opened() as now:
        actions.run_extra(now, config)
