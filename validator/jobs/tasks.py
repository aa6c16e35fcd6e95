"""When old rows go."""

from datetime import timedelta

from celery import shared_task

from validator import chores
from validator.config import config


@shared_task
def evict() -> None:
    """Forget what is older than the operator wants to keep."""
    chores.evict(timedelta(days=config.keep_days))
