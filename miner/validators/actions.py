"""The validators in the database: read by `web`, updated from the chain by `keep`."""

import asyncio
import logging
from collections.abc import Iterable
from decimal import Decimal

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.utils import timezone

from compute_horde.django.database import in_database
from compute_horde.django.job_record import notify
from compute_horde.django.notifications import listen
from miner.validators import rules
from miner.validators.models import SigningValidator, Validator, ValidatorBlacklist
from miner.validators.rules import StakedHotkey

log = logging.getLogger(__name__)

CHANNEL = "miner_validators"
RETRY_SECONDS = 1.0


class ValidatorDirectory:
    """The validators as last read from the database; `follow` reads them after every change.

    The `pinned` ones are accepted too; with `only_pinned`, no others are.
    """

    def __init__(self, pinned: Iterable[str] = (), *, only_pinned: bool = False) -> None:
        self._pinned = frozenset(pinned)
        self._only_pinned = only_pinned
        self._active: dict[str, bool] = {}
        self._blacklisted: frozenset[str] = frozenset()
        self._signing: frozenset[str] = frozenset()
        self._being_stored: dict[str, asyncio.Task[None]] = {}

    def refusal(self, hotkey: str) -> str | None:
        """Why a validator is refused, or None if it is accepted."""
        if hotkey in self._pinned:
            return None
        if self._active.get(hotkey) and not self._only_pinned:
            return None
        return (
            f"Inactive validator: {hotkey}"
            if hotkey in self._active
            else (f"Unknown validator: {hotkey}")
        )

    def is_blacklisted(self, hotkey: str) -> bool:
        """Whether all jobs of this validator are declined."""
        return hotkey in self._blacklisted

    def must_sign(self, hotkey: str) -> bool:
        """Whether this validator has ever signed a job request, and so must sign all of them."""
        return hotkey in self._signing or hotkey in self._being_stored

    def record_signed(self, hotkey: str) -> None:
        """Require signatures of this validator from now on; stores that in the background."""
        if not self.must_sign(hotkey):
            self._being_stored[hotkey] = asyncio.create_task(self._store_signed(hotkey))

    async def _store_signed(self, hotkey: str) -> None:
        try:
            await in_database(_insert_signing, hotkey)
            self._signing |= {hotkey}
        except DatabaseError:
            # It is tried again at the next signed request.
            log.exception("cannot store that a validator signs", extra={"validator": hotkey})
        finally:
            del self._being_stored[hotkey]

    async def close(self) -> None:
        """Finish writing."""
        await asyncio.gather(*self._being_stored.values(), return_exceptions=True)

    async def read(self) -> None:
        """Read the validators."""
        before = None
        # A hotkey stored in `_signing` during a read may be missing in its result.
        while before is not self._signing:
            before = self._signing
            rows = await in_database(_read_rows)
        self._active, self._blacklisted, self._signing = rows

    async def follow(self) -> None:
        """Read the validators after every change; never returns."""
        async for _ in listen(CHANNEL):
            while not await self._try_read():
                continue

    async def _try_read(self) -> bool:
        try:
            await self.read()
        except (OperationalError, InterfaceError) as exc:
            log.error("validators cannot be read", extra={"problem": str(exc)[:200]})
            await asyncio.sleep(RETRY_SECONDS)
            return False
        return True


def _read_rows() -> tuple[dict[str, bool], frozenset[str], frozenset[str]]:
    active = dict(Validator.objects.values_list("hotkey", "active"))
    blacklisted = frozenset(ValidatorBlacklist.objects.values_list("hotkey", flat=True))
    return active, blacklisted, frozenset(SigningValidator.objects.values_list("hotkey", flat=True))


def _insert_signing(hotkey: str) -> None:
    SigningValidator.objects.get_or_create(hotkey=hotkey)


def notify_change() -> None:
    """Notify the web process to read the validators, once this transaction commits."""
    notify(CHANNEL)


def pin(hotkeys: Iterable[str]) -> None:
    """Accept these validators whatever their stake."""
    with transaction.atomic():
        for hotkey in hotkeys:
            Validator.objects.update_or_create(
                hotkey=hotkey, defaults={"active": True, "pinned": True}
            )
        notify_change()


def refresh(neurons: Iterable[StakedHotkey], *, minimum: Decimal, count: int) -> int:
    """Store the validators selected by stake; returns how many are active."""
    chosen = rules.select_validators(neurons, minimum=minimum, count=count)
    now = timezone.now()
    rows = [Validator(hotkey=h, active=True, stake=s, refreshed_at=now) for h, s in chosen.items()]
    with transaction.atomic():
        before = set(Validator.objects.filter(active=True).values_list("hotkey", flat=True))
        Validator.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["hotkey"],
            update_fields=["active", "stake", "refreshed_at"],
        )
        deactivated = Validator.objects.filter(active=True, pinned=False).exclude(hotkey__in=chosen)
        deactivated.update(active=False, refreshed_at=now)
        after = set(Validator.objects.filter(active=True).values_list("hotkey", flat=True))
        if before != after:
            notify_change()
            log.info(
                "validators changed", extra={"added": after - before, "removed": before - after}
            )
    return len(after)
