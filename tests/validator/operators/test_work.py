"""Confirmed actions reach the worker's task, or say why not."""

from uuid import uuid4

import pytest
from kombu.exceptions import OperationalError

from compute_horde.django.confirmed_action import NotQueuedError
from validator import celery
from validator.operators import work
from validator.operators.models import OperatorAction
from validator.scores import recompute
from validator.synthetic import run_now
from validator.weights import set_now


@pytest.mark.parametrize("module", [recompute, run_now, set_now])
def test_the_task_of_each_button_is_there_and_has_a_queue(module: object) -> None:
    celery.app.loader.import_default_modules()
    assert module.TASK in celery.app.tasks
    assert celery.ROUTES[module.TASK]["queue"] in celery.app.conf.task_queues


def test_a_lost_broker_is_named_with_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(celery.app, "send_task", lost)
    with pytest.raises(NotQueuedError, match="VALIDATOR_REDIS_URL"):
        work.queue_for("some.task")("token")


@pytest.mark.django_db
def test_a_queued_action_is_done() -> None:
    record = OperatorAction.objects.create(token=uuid4(), name="test", preview={})
    work.run(str(record.pk), lambda record: f"{record.name} done")
    record.refresh_from_db()
    assert (record.state, record.result) == ("done", "test done")
