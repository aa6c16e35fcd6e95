"""Celery tasks that plan and run batches of synthetic jobs."""

from celery import shared_task

from validator.config import config
from validator.network import chain
from validator.operators import work
from validator.synthetic import actions, run_now, schedule
from validator.synthetic.control import checks


@shared_task
def plan_batch() -> None:
    """Plan the cycle's batch, if it is not planned yet."""
    schedule.plan(chain.opened, config)


@shared_task
def run_due_batch() -> None:
    """Run the planned batch, if its slot has come."""
    actions.run_due(chain.opened, config)


@shared_task
def probe_controls() -> None:
    """Probe what batches depend on, so that each knows what worked before it."""
    checks.probe_once(config)


@shared_task
def run_extra_batch(token: str) -> None:
    """Run a batch that an operator confirmed."""
    work.run(token, lambda record: run_now.run(record, config))
