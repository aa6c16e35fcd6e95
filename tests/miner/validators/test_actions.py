"""The validators in the database, and how the web process follows them."""

import asyncio
from decimal import Decimal

import pytest
from django.db import OperationalError

from compute_horde.django import database
from compute_horde.django.database import in_database
from miner.validators import actions
from miner.validators.actions import Directory
from miner.validators.models import Validator, ValidatorBlacklist
from miner.validators.rules import Staked

RULE = {"minimum": Decimal(1000), "count": 24}


@pytest.fixture(autouse=True)
def _threads(transactional_db):
    yield
    database.close_threads()


def stored():
    return {v.hotkey: (v.active, v.stake) for v in Validator.objects.all()}


def test_a_refresh_takes_over_what_the_chain_says():
    assert actions.refresh([Staked("a", Decimal(2000)), Staked("b", Decimal(1500))], **RULE) == 2
    assert actions.refresh([Staked("b", Decimal(1600)), Staked("c", Decimal(3))], **RULE) == 1
    assert stored() == {"a": (False, Decimal(2000)), "b": (True, Decimal(1600))}


def test_a_pinned_validator_stays_whatever_the_chain_says():
    actions.pin(["mine"])
    actions.refresh([], **RULE)
    assert stored() == {"mine": (True, None)}


async def test_the_directory_follows_every_change():
    directory = Directory(pinned=["always"])
    following = asyncio.create_task(directory.follow())
    assert directory.refusal("always") is None
    assert directory.refusal("new") == "Unknown validator: new"
    await in_database(actions.refresh, [Staked("new", Decimal(2000))], **RULE)
    await eventually(lambda: directory.refusal("new") is None)
    await in_database(actions.refresh, [], **RULE)
    await eventually(lambda: directory.refusal("new") == "Inactive validator: new")
    await in_database(blacklist, "new")
    await eventually(lambda: directory.is_blacklisted("new"))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_the_directory_goes_on_after_a_database_that_was_long_away(monkeypatch):
    refused = [OperationalError("away")]

    async def away_at_first(work, *args):
        if refused:
            raise refused.pop()
        return await in_database(work, *args)

    await in_database(actions.pin, ["new"])
    monkeypatch.setattr(actions, "in_database", away_at_first)
    directory = Directory()
    following = asyncio.create_task(directory.follow())
    await eventually(lambda: directory.refusal("new") is None)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def blacklist(hotkey):
    ValidatorBlacklist.objects.create(hotkey=hotkey)
    actions.tell_change()


async def eventually(holds):
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)
