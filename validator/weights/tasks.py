"""When weights are set. What that means is in `actions`."""

from celery import shared_task

from validator import chain
from validator.config import config
from validator.weights import actions


@shared_task
def publish_weights() -> None:
    """The cycle's weights, once, in its window."""
    actions.publish(chain.opened, config)
