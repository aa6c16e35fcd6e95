"""Celery task that repeats users' jobs on the trusted miner."""

from celery import shared_task

from validator.config import config
from validator.trusted_miner import cross_validation


@shared_task
def cross_validate() -> None:
    """Choose jobs that ended lately, and repeat one."""
    cross_validation.run_due(config)
