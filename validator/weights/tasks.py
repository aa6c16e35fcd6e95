"""Celery task that sets weights; the work is in `actions`."""

from celery import shared_task

from validator.config import config
from validator.network import chain
from validator.weights import actions


@shared_task
def publish_weights() -> None:
    """Set the cycle's weights, if its window is open."""
    actions.set_weights_if_due(chain.opened, config)
