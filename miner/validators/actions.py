"""Who may speak: read by the web process, refreshed from the chain by keep."""

import asyncio
import logging
from collections.abc import Iterable
from decimal import Decimal

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from compute_horde.django.database import in_database
from compute_horde.django.job_record import notify
from compute_horde.django.listen import notices
from miner.validators import rules
from miner.validators.models import Validator, ValidatorBlacklist
from miner.validators.rules import Staked

log = logging.getLogger(__name__)

CHANGED = "miner_validators"
READ_AGAIN_SECONDS = 1.0


class Directory:
    """The validators as last read from the database; read again when told of a change."""

    def __init__(self, pinned: Iterable[str] = ()) -> None:
        self._pinned = frozenset(pinned)
        self._active: dict[str, bool] = {}
        self._blacklisted: frozenset[str] = frozenset()

    def refusal(self, hotkey: str) -> str | None:
        """What to tell a validator that is not heard, or None."""
        if hotkey in self._pinned or self._active.get(hotkey):
            return None
        return (
            f"Inactive validator: {hotkey}"
            if hotkey in self._active
            else (f"Unknown validator: {hotkey}")
        )

    def is_blacklisted(self, hotkey: str) -> bool:
        """Whether every job of this validator is declined."""
        return hotkey in self._blacklisted

    async def read(self) -> None:
        """Look at the rows."""
        self._active, self._blacklisted = await in_database(_rows)

    async def follow(self) -> None:
        """Read again at every change, for ever."""
        async for _ in notices(CHANGED):
            while not await self._reads():
                continue

    async def _reads(self) -> bool:
        try:
            await self.read()
        except (OperationalError, InterfaceError) as exc:
            log.error("validators cannot be read", extra={"problem": str(exc)[:200]})
            await asyncio.sleep(READ_AGAIN_SECONDS)
            return False
        return True


def _rows() -> tuple[dict[str, bool], frozenset[str]]:
    active = dict(Validator.objects.values_list("hotkey", "active"))
    return active, frozenset(ValidatorBlacklist.objects.values_list("hotkey", flat=True))


def tell_change() -> None:
    """Let the web process read the validators again once this transaction commits."""
    notify(CHANGED)


def pin(hotkeys: Iterable[str]) -> None:
    """Make these validators heard whatever the chain says."""
    with transaction.atomic():
        for hotkey in hotkeys:
            Validator.objects.update_or_create(
                hotkey=hotkey, defaults={"active": True, "pinned": True}
            )
        tell_change()


def refresh(neurons: Iterable[Staked], *, minimum: Decimal, count: int) -> int:
    """Store who is heard by the chain's present word; how many are active."""
    chosen = rules.heard(neurons, minimum=minimum, count=count)
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
        gone = Validator.objects.filter(active=True, pinned=False).exclude(hotkey__in=chosen)
        gone.update(active=False, refreshed_at=now)
        after = set(Validator.objects.filter(active=True).values_list("hotkey", flat=True))
        if before != after:
            tell_change()
            log.info("validators changed", extra={"came": after - before, "went": before - after})
    return len(after)
