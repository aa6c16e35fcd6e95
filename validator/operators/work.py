"""Gives confirmed actions to the worker, and does them there."""

from collections.abc import Callable

from kombu.exceptions import OperationalError

from compute_horde.django import action_record
from compute_horde.django.confirmed_action import NotQueuedError
from validator.operators.models import OperatorAction


def queue_for(task: str) -> Callable[[str], None]:
    """What gives the key of a recorded action to the Celery task of this name."""

    def queue(token: str) -> None:
        # Only where it is used: the application of Celery reads all settings.
        from validator.celery import app

        try:
            app.send_task(task, [token], retry=False)
        except OperationalError as exc:
            raise NotQueuedError(
                f"The broker cannot be reached, so no worker knows of it: {exc}. Check that "
                "VALIDATOR_REDIS_URL answers, then repeat"
            ) from exc

    return queue


def run(token: str, work: Callable[[OperatorAction], str]) -> None:
    """Do a queued action, once, and store its result."""
    action_record.run(OperatorAction.objects.all(), token, work)
