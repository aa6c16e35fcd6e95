"""Celery tasks that read the chain and poll manifests; the work is in the modules beside."""

from celery import shared_task

from validator.config import config
from validator.network import actions, chain, manifest_polling


@shared_task
def refresh_metagraph() -> None:
    """Read and store the metagraph."""
    with chain.opened() as connection:
        actions.refresh_metagraph(connection)


@shared_task
def poll_manifests() -> None:
    """Request and store the manifests of all miners."""
    manifest_polling.poll_manifests(config, chain.opened)
