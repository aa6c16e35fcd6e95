"""An action that was confirmed is done once, and its row says how it ended."""

from uuid import uuid4

import pytest
from django.utils import timezone

from compute_horde.django.action_record import LOST_AFTER, close_lost, run
from compute_horde.errors import ConfigurationError
from tests.compute_horde.django.records.models import Action, Job


def queued(**fields: object) -> Action:
    given = {"token": uuid4(), "name": "test", "user": "root", "preview": {}, "digest": "d"}
    return Action.objects.create(**(given | fields))


def test_the_work_is_done_once_however_often_it_is_delivered() -> None:
    action, done = queued(), []

    def work(record: Action) -> str:
        done.append(record.state)
        record.made(Job.objects.create(uuid=uuid4(), state="sent"))
        return "one job"

    for _ in range(2):
        run(Action.objects.all(), str(action.pk), work)
    action.refresh_from_db()
    assert done == ["running"]
    assert (action.state, action.result, action.is_open) == ("done", "one job", False)
    assert action.result_row == f"records.job:{Job.objects.get().pk}"
    assert action.started_at < action.ended_at


def test_a_refusal_is_the_result() -> None:
    action = queued()

    def refused(record: Action) -> str:
        raise ConfigurationError("the window is over")

    run(Action.objects.all(), str(action.pk), refused)
    action.refresh_from_db()
    assert (action.state, action.result) == ("failed", "the window is over")


@pytest.mark.parametrize("failure", [ZeroDivisionError("by zero"), SystemExit("stopped")])
def test_what_nobody_expected_is_stored_and_raised(failure: BaseException) -> None:
    action = queued()

    def broken(record: Action) -> str:
        raise failure

    with pytest.raises(type(failure)):
        run(Action.objects.all(), str(action.pk), broken)
    action.refresh_from_db()
    assert (action.state, type(failure).__name__ in action.result) == ("failed", True)


def test_an_action_whose_worker_died_is_ended() -> None:
    lost, fresh, done = queued(state="running"), queued(), queued(state="done")
    Action.objects.exclude(pk=fresh.pk).update(asked_at=timezone.now() - LOST_AFTER * 2)
    assert close_lost(Action.objects.all()) == 1
    states = dict(Action.objects.values_list("pk", "state"))
    assert states == {lost.pk: "failed", fresh.pk: "queued", done.pk: "done"}
