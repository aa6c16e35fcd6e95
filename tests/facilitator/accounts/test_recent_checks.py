"""A user who may use the API is looked up once in a few seconds; a change counts at once."""

import asyncio
import threading

from django.db import connection, transaction

from compute_horde.django.database import in_database
from facilitator.accounts import recent_checks
from facilitator.accounts.recent_checks import RecentChecks, allowed_users, binding_users
from facilitator.models import AllowedHotkey, BindingSigner


async def test_a_user_is_looked_up_once_in_a_few_seconds(user, monkeypatch):
    path = "/api/v1/jobs/"
    assert (await user.get(path)).status_code == 200

    def forbid(hotkey: str) -> bool:
        raise AssertionError("looked up again")

    with monkeypatch.context() as patched:
        patched.setattr(recent_checks, "_is_allowed", forbid)
        assert (await user.get(path)).status_code == 200
    monkeypatch.setattr(recent_checks, "VALID_SECONDS", 0.0)
    monkeypatch.setattr(recent_checks, "_is_allowed", lambda hotkey: False)
    assert (await user.get(path)).status_code == 401


async def test_a_user_who_is_removed_here_is_refused_at_once(user):
    assert (await user.get("/api/v1/jobs/")).status_code == 200
    await in_database(AllowedHotkey.objects.filter(hotkey=user.hotkey).delete)
    assert (await user.get("/api/v1/jobs/")).status_code == 401
    # Who was refused is not remembered.
    await in_database(AllowedHotkey.objects.create, hotkey=user.hotkey)
    assert (await user.get("/api/v1/jobs/")).status_code == 200


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(recent_checks, "MAX_KEYS", 3)
    checks = RecentChecks(BindingSigner)
    for number in range(10):
        checks.mark_passed(str(number), 0)
        assert checks.has_passed(str(number))
    assert len(checks._passed_at) <= 3


def test_each_table_has_its_own(user):
    allowed_users.mark_passed(user.hotkey, allowed_users.changes)
    binding_users.mark_passed(user.hotkey, binding_users.changes)
    BindingSigner.objects.create(hotkey=user.hotkey)
    assert not binding_users.has_passed(user.hotkey)
    assert allowed_users.has_passed(user.hotkey)


async def test_a_removal_that_is_not_committed_yet_is_not_forgotten_by_it(user):
    removed, commit = threading.Event(), threading.Event()

    def remove():
        with transaction.atomic():
            AllowedHotkey.objects.get(hotkey=user.hotkey).delete()
            removed.set()
            commit.wait(10)
        connection.close()

    removing = asyncio.create_task(asyncio.to_thread(remove))
    await asyncio.to_thread(removed.wait, 10)
    assert (await user.get("/api/v1/jobs/")).status_code == 200
    commit.set()
    await removing
    assert (await user.get("/api/v1/jobs/")).status_code == 401


async def test_a_check_that_a_change_overtook_does_not_count(user, monkeypatch):
    def checked(hotkey: str) -> bool:
        AllowedHotkey.objects.filter(hotkey=hotkey).delete()
        return True

    monkeypatch.setattr(recent_checks, "_is_allowed", checked)
    assert await recent_checks.is_allowed(user.hotkey)
    assert not allowed_users.has_passed(user.hotkey)
