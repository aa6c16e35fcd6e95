"""Celery tasks that run batches of synthetic jobs."""

from celery import shared_task

from validator.config import config
from validator.synthetic import actions


@shared_task
def run_due_batch() -> None:
    """Run the cycle's batch, if it is due."""
    actions.run_due(config)


@shared_task
def run_extra_batch() -> None:
    """Run a batch that an operator requested."""
    actions.run_extra(config)
