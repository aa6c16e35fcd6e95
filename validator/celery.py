"""What runs by the clock, and on which queue."""

import os
from datetime import timedelta

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "validator.headless")  # noqa: TID251

from django.conf import settings

from validator.config import config

TASKS = {
    "validator.network.tasks.refresh_metagraph": config.refresh_seconds,
    "validator.network.tasks.poll_manifests": config.manifest_seconds,
    "validator.synthetic.tasks.run_due_batch": config.tick_seconds,
    "validator.weights.tasks.publish_weights": config.tick_seconds,
    "validator.jobs.tasks.evict": 3600.0,
}

app = Celery("validator", broker=config.redis_url.get_secret_value())
app.conf.update(
    imports=[
        "validator.network.tasks",
        "validator.synthetic.tasks",
        "validator.weights.tasks",
        "validator.jobs.tasks",
    ],
    task_default_queue="default",
    task_queues={name: {} for name in ("default", "chain", "jobs")},
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    timezone="UTC",
    # A turn that was not taken in time is not made up for: the next one comes soon.
    beat_schedule={
        name: {
            "task": name,
            "schedule": timedelta(seconds=seconds),
            "options": {"expires": max(seconds, 1.0)},
        }
        for name, seconds in TASKS.items()
    },
)


@setup_logging.connect
def _log_as_django_does(**_: object) -> None:
    """Celery leaves logging to Django's settings."""
    from logging.config import dictConfig

    dictConfig(settings.LOGGING)
