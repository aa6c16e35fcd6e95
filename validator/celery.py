"""The Celery application: periodic tasks, their intervals and their queues."""

import logging
import os
from datetime import timedelta
from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging, task_failure, worker_shutting_down

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "validator.settings_headless")  # noqa: TID251

from django.conf import settings
from django.db import InterfaceError, OperationalError

from compute_horde.errors import OutsideError
from validator.config import config

log = logging.getLogger(__name__)

# Interval in seconds and queue. Tasks that wait for the chain must not delay a batch.
TASKS = {
    "validator.network.tasks.refresh_metagraph": (config.refresh_seconds, "chain"),
    "validator.network.tasks.poll_manifests": (config.manifest_seconds, "default"),
    "validator.synthetic.tasks.plan_batch": (config.tick_seconds, "chain"),
    "validator.synthetic.tasks.run_due_batch": (config.tick_seconds, "jobs"),
    "validator.synthetic.tasks.probe_controls": (config.control_seconds, "default"),
    "validator.llm.tasks.generate_prompts": (config.llm.task_seconds, "llm"),
    "validator.llm.tasks.sample_prompts": (config.llm.sampling_seconds, "llm"),
    "validator.llm.tasks.answer_workloads": (config.llm.task_seconds, "llm"),
    "validator.weights.tasks.publish_weights": (config.tick_seconds, "chain"),
    "validator.trusted_miner.tasks.cross_validate": (config.cross_validation_seconds, "trusted"),
    "validator.jobs.tasks.evict": (3600.0, "default"),
}
ROUTES = {name: {"queue": queue} for name, (_, queue) in TASKS.items()}
# What operators ask for.
ROUTES |= {
    "validator.synthetic.tasks.run_extra_batch": {"queue": "jobs"},
    "validator.scores.tasks.recompute": {"queue": "chain"},
    "validator.weights.tasks.set_weights_now": {"queue": "chain"},
}


class OutsideTask(Task[..., Any]):
    """A task whose failures are logged in one line when an outside service caused them."""

    throws = (OutsideError, OperationalError, InterfaceError)


app: Celery[Task[..., Any]] = Celery(
    "validator", broker=config.redis_url.get_secret_value(), task_cls=OutsideTask
)
app.conf.update(
    imports=[
        "validator.llm.tasks",
        "validator.network.tasks",
        "validator.synthetic.tasks",
        "validator.scores.tasks",
        "validator.weights.tasks",
        "validator.jobs.tasks",
        "validator.trusted_miner.tasks",
    ],
    task_default_queue="default",
    task_queues={name: {} for name in ("default", "chain", "jobs", "llm", "trusted")},
    task_routes=ROUTES,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    timezone="UTC",
    # A run that no worker takes within its interval expires: the next one comes soon.
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
def _use_django_logging(**_: object) -> None:
    """Configure logging from Django's settings instead of Celery's."""
    from logging.config import dictConfig

    dictConfig(settings.LOGGING)


@task_failure.connect
def _log_failure(sender: Task[..., Any], exception: BaseException, **_: object) -> None:
    """Log errors that a task lists in `throws`; Celery itself does not."""
    if isinstance(exception, sender.throws):
        problem = " ".join(str(exception).split())
        log.warning("task failed", extra={"task": sender.name, "problem": problem})


@worker_shutting_down.connect
def _stop_batches(**_: object) -> None:
    """Cancel running batches: they may last minutes, and a stopping worker has seconds."""
    from validator.synthetic import actions

    actions.interrupt()
