"""Celery task that sets weights; the work is in `actions`."""

from celery import shared_task

from validator.config import config
from validator.network import chain
from validator.operators import work
from validator.weights import actions, set_now


@shared_task
def publish_weights() -> None:
    """Set the cycle's weights, if its window is open."""
    actions.set_weights_if_due(chain.opened, config)


@shared_task
def set_weights_now(token: str) -> None:
    """Try to set the cycle's weights at once, as an operator confirmed."""
    work.run(token, lambda record: set_now.try_now(record, chain.opened, config))
