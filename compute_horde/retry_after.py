"""Parses the `Retry-After` header (RFC 9110 §10.2.3); pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,9}")


def seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The seconds in `Retry-After`, given as a number or as a date; None without a valid one.

    A date is compared with the response's own `Date`, because the server's clock may differ from
    ours, or without one with `now`.
    """
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _date(value)
    if until is None:
        return None
    since = _date(headers.get("Date", "")) or now or datetime.now(UTC)
    return max((until - since) / timedelta(seconds=1), 0.0)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
