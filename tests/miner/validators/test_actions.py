"""The validators in the database, and how the web process reads changes."""

import asyncio
from decimal import Decimal

import pytest
from django.db import OperationalError

from compute_horde.django import database
from compute_horde.django.database import in_database
from miner.validators import actions
from miner.validators.actions import ValidatorDirectory
from miner.validators.models import Validator, ValidatorBlacklist
from miner.validators.rules import StakedHotkey

RULE = {"minimum": Decimal(1000), "count": 24}


@pytest.fixture(autouse=True)
def _threads(transactional_db):
    yield
    database.close_threads()


def stored():
    return {v.hotkey: (v.active, v.stake) for v in Validator.objects.all()}


def test_a_refresh_stores_the_validators_of_the_chain():
    assert (
        actions.refresh(
            [StakedHotkey("a", Decimal(2000)), StakedHotkey("b", Decimal(1500))], **RULE
        )
        == 2
    )
    assert (
        actions.refresh([StakedHotkey("b", Decimal(1600)), StakedHotkey("c", Decimal(3))], **RULE)
        == 1
    )
    assert stored() == {"a": (False, Decimal(2000)), "b": (True, Decimal(1600))}


def test_a_pinned_validator_stays_active_whatever_its_stake():
    actions.pin(["mine"])
    actions.refresh([], **RULE)
    assert stored() == {"mine": (True, None)}


async def test_the_directory_follows_every_change():
    directory = ValidatorDirectory(pinned=["always"])
    following = asyncio.create_task(directory.follow())
    assert directory.refusal("always") is None
    assert directory.refusal("new") == "Unknown validator: new"
    await in_database(actions.refresh, [StakedHotkey("new", Decimal(2000))], **RULE)
    await eventually(lambda: directory.refusal("new") is None)
    await in_database(actions.refresh, [], **RULE)
    await eventually(lambda: directory.refusal("new") == "Inactive validator: new")
    await in_database(blacklist, "new")
    await eventually(lambda: directory.is_blacklisted("new"))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_trusted_miner_accepts_nobody_but_its_validator():
    await in_database(actions.refresh, [StakedHotkey("rich", Decimal(2000))], **RULE)
    directory = ValidatorDirectory(["mine"], only_pinned=True)
    await directory.read()
    assert directory.refusal("mine") is None
    assert directory.refusal("rich") == "Inactive validator: rich"


async def test_the_directory_recovers_from_an_unreachable_database(monkeypatch):
    refused = [OperationalError("away")]

    async def away_at_first(work, *args):
        if refused:
            raise refused.pop()
        return await in_database(work, *args)

    await in_database(actions.pin, ["new"])
    monkeypatch.setattr(actions, "in_database", away_at_first)
    directory = ValidatorDirectory()
    following = asyncio.create_task(directory.follow())
    await eventually(lambda: directory.refusal("new") is None)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def blacklist(hotkey):
    ValidatorBlacklist.objects.create(hotkey=hotkey)
    actions.notify_change()


async def eventually(holds):
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_signature_recorded_during_a_read_is_not_lost(monkeypatch):
    reading, may_return = asyncio.Event(), asyncio.Event()

    async def slow_read(work, *args):
        result = await in_database(work, *args)
        if work is actions._read_rows and not reading.is_set():
            reading.set()
            await may_return.wait()
        return result

    monkeypatch.setattr(actions, "in_database", slow_read)
    directory = ValidatorDirectory()
    read = asyncio.create_task(directory.read())
    await reading.wait()
    directory.record_signed("signer")
    await directory.close()
    may_return.set()
    await read
    assert directory.must_sign("signer")
