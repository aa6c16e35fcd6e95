"""The state of an executor, its timer, and how many of a class can be offered."""

import asyncio
from datetime import timedelta

import pytest

from compute_horde.hardware import ExecutorClass
from miner.executors.executor import ClassSlots, Executor

WARM = ExecutorClass.always_on__test


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "starting"),
        ({"connection": object()}, "idle"),
        ({"assignment": object()}, "starting for a job"),
        ({"assignment": object(), "connection": object()}, "busy"),
        ({"connection": object(), "is_leaving": True}, "leaving"),
    ],
)
def test_its_state_follows_from_its_connection_and_its_job(fields, state):
    assert Executor("token", WARM, **fields).state == state


def test_its_id_does_not_show_its_token():
    executor = Executor("secret-token", WARM)
    assert len(executor.id) == 16
    assert "secret" not in executor.id


async def test_only_the_last_timer_counts():
    executor, fired = Executor("token", WARM), []
    executor.set_timer(timedelta(0), lambda: fired.append("first"))
    executor.set_timer(timedelta(0), lambda: fired.append("second"))
    await asyncio.sleep(0.01)
    assert fired == ["second"]
    executor.set_timer(timedelta(0), lambda: fired.append("third"))
    executor.cancel_timer()
    executor.cancel_timer()
    await asyncio.sleep(0.01)
    assert fired == ["second"]


def test_no_more_are_out_of_service_than_there_are():
    assert ClassSlots(3, out_of_service=1).usable == 2
    assert ClassSlots(1, out_of_service=2).usable == 0
