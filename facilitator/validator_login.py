"""Checks of a validator's login, and alarms when two parties log in as one validator."""

import time

from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from compute_horde.errors import BadSignature
from compute_horde.protocol.handshake import FacilitatorLogin
from facilitator.accounts import host_names
from facilitator.config import config
from facilitator.models import Validator

MAX_CLOCK_SKEW_SECONDS = 60.0
MAX_CONFLICT_CHARACTERS = 500
ALARM_EVERY_SECONDS = 60.0


def check(login: FacilitatorLogin, *, nonce: str, challenge_required: bool) -> None:
    """Raise `BadSignature` unless this login was signed for this connection.

    The published login is the same every time, so it is refused when `challenge_required`: from
    validators that have answered a challenge before.
    """
    answer = login.challenge
    if answer is None and challenge_required:
        raise BadSignature(
            "this validator has answered login challenges before, so the published login, which "
            "anybody may have recorded, is refused; run the newer software, or have the "
            "facilitator's operator allow the published login again"
        )
    if answer and answer.nonce != nonce:
        raise BadSignature("the login answers the challenge of another connection")
    if answer and not host_names.is_own_name(answer.audience, config.allowed_hosts):
        raise BadSignature(
            f"the login is meant for {answer.audience!r}, which is not a name of this facilitator "
            "(FACILITATOR_ALLOWED_HOSTS)"
        )
    if answer and abs(time.time() - answer.timestamp) > MAX_CLOCK_SKEW_SECONDS:
        raise BadSignature(
            f"the login is dated over {MAX_CLOCK_SKEW_SECONDS:.0f} s from now; "
            "check the validator's clock"
        )
    login.verify()


def active_validator(hotkey: str) -> Validator | None:
    """The validator, if the operator has admitted it and it is active, else None."""
    return Validator.objects.filter(hotkey=hotkey, is_active=True).first()


def record_login(hotkey: str, version: str, *, by_challenge: bool) -> None:
    """Store the time of this login, the validator's version and that it answered a challenge."""
    changes = {"challenged_since": Coalesce("challenged_since", timezone.now())}
    Validator.objects.filter(hotkey=hotkey).update(
        last_login=timezone.now(), version=version, **(changes if by_challenge else {})
    )


def record_conflict(hotkey: str, text: str) -> None:
    """Store, for the operator, that two parties log in as one validator."""
    Validator.objects.filter(hotkey=hotkey).update(
        conflicts=F("conflicts") + 1,
        last_conflict=text[:MAX_CONFLICT_CHARACTERS],
        last_conflict_at=timezone.now(),
    )


class AlarmThrottle:
    """Limits alarms to one per validator and `ALARM_EVERY_SECONDS`.

    A replayed login can be sent, and refused, any number of times.
    """

    def __init__(self) -> None:
        # At most one entry for each validator that the operator has admitted.
        self._last: dict[str, float] = {}

    def is_due(self, hotkey: str, now: float) -> bool:
        """Whether an alarm may be raised at `now` (monotonic s); if so, counts it as raised."""
        if now - self._last.get(hotkey, float("-inf")) < ALARM_EVERY_SECONDS:
            return False
        self._last[hotkey] = now
        return True


conflict_alarms = AlarmThrottle()
