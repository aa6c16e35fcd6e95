"""Database checks of users that passed a moment ago and need not be repeated for each request."""

import time
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete, post_save

from facilitator.models import AllowedHotkey, BindingSigner
from facilitator.web.response_deadline import query_within_deadline

VALID_SECONDS = 5.0
MAX_KEYS = 10_000


class RecentChecks:
    """Keys whose check passed within `VALID_SECONDS`.

    A change through this process, such as in the admin, makes it forget all of them at once; one
    made elsewhere takes effect when they are no longer valid.
    """

    def __init__(self, model: type[Any]) -> None:
        self._passed_at: dict[str, float] = {}
        # How often the table was changed; a check that began before a change does not count.
        self.changes = 0
        for signal in (post_save, post_delete):
            signal.connect(self._changed, sender=model, weak=False)

    def has_passed(self, key: str) -> bool:
        """Whether the check of `key` passed a moment ago."""
        return time.monotonic() - self._passed_at.get(key, -VALID_SECONDS) < VALID_SECONDS

    def mark_passed(self, key: str, changes: int) -> None:
        """Remember that the check of `key` passed, if `changes` is still what it was before it."""
        if changes != self.changes:
            return
        if len(self._passed_at) >= MAX_KEYS:
            self._passed_at.clear()
        self._passed_at[key] = time.monotonic()

    def clear(self) -> None:
        """Forget all keys, and what is being checked now."""
        self.changes += 1
        self._passed_at.clear()

    def _changed(self, **_: Any) -> None:
        self.clear()
        # Until the change is committed, checks still see the rows as they were.
        transaction.on_commit(self.clear)


allowed_users = RecentChecks(AllowedHotkey)
binding_users = RecentChecks(BindingSigner)


async def is_allowed(hotkey: str) -> bool:
    """Whether a user may log in and use the API; raises `ApiError` 503 when it is not known."""
    if allowed_users.has_passed(hotkey):
        return True
    changes = allowed_users.changes
    is_known = await query_within_deadline(_is_allowed, hotkey)
    if is_known:
        allowed_users.mark_passed(hotkey, changes)
    return is_known


def _is_allowed(hotkey: str) -> bool:
    return AllowedHotkey.objects.filter(hotkey=hotkey).exists()
