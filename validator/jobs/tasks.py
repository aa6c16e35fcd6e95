"""Celery task that deletes old rows."""

from datetime import timedelta

from celery import shared_task

from validator import eviction
from validator.config import config


@shared_task
def evict() -> None:
    """Delete rows older than `VALIDATOR_KEEP_DAYS`."""
    eviction.evict(timedelta(days=config.keep_days))
