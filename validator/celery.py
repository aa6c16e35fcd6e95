"""What runs by the clock, and on which queue."""

import os
from datetime import timedelta

from celery import Celery
from celery.signals import setup_logging, worker_shutting_down

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "validator.headless")  # noqa: TID251

from django.conf import settings

from validator.config import config

# How often, and on which queue: what waits for the chain must not keep a batch waiting.
TASKS = {
    "validator.network.tasks.refresh_metagraph": (config.refresh_seconds, "chain"),
    "validator.network.tasks.poll_manifests": (config.manifest_seconds, "default"),
    "validator.synthetic.tasks.run_due_batch": (config.tick_seconds, "jobs"),
    "validator.weights.tasks.publish_weights": (config.tick_seconds, "chain"),
    "validator.jobs.tasks.evict": (3600.0, "default"),
}
ROUTES = {name: {"queue": queue} for name, (_, queue) in TASKS.items()}
ROUTES["validator.synthetic.tasks.run_extra_batch"] = {"queue": "jobs"}

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
    task_routes=ROUTES,
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
        for name, (seconds, _) in TASKS.items()
    },
)


@setup_logging.connect
def _log_as_django_does(**_: object) -> None:
    """Celery leaves logging to Django's settings."""
    from logging.config import dictConfig

    dictConfig(settings.LOGGING)


@worker_shutting_down.connect
def _stop_batches(**_: object) -> None:
    """A batch may last minutes, and a worker that is told to stop has seconds."""
    from validator.synthetic import actions

    actions.interrupt()
