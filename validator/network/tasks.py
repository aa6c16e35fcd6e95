"""When the subnet is looked at. What that means is in `actions`."""

from celery import shared_task

from validator import chain
from validator.config import config
from validator.network import actions


@shared_task
def refresh_metagraph() -> None:
    """Read the chain."""
    with chain.opened() as now:
        actions.refresh_metagraph(now)


@shared_task
def poll_manifests() -> None:
    """Ask the miners."""
    actions.poll_manifests(config.hotkey, config.manifest_timeout_seconds)
