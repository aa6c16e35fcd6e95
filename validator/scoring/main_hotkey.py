"""Divides the score of a coldkey over its hotkeys; the main hotkey gets most of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class MainHotkeyRule:
    """`share` of the total goes to the main hotkey; a change of it adds `bonus` to the total."""

    share: Fraction
    bonus: Fraction


def has_moved(now: str | None, before: str | None) -> bool:
    """Whether the main hotkey differs from that of the cycle before; both must be known."""
    return bool(now) and bool(before) and now != before


def split(
    hotkeys: Sequence[str],
    total: Fraction,
    *,
    now: str | None,
    before: str | None,
    rule: MainHotkeyRule,
) -> dict[str, Fraction]:
    """The part of `total` that each hotkey of one coldkey gets.

    The other hotkeys divide the rest evenly. Without a main hotkey among `hotkeys` all get the
    same, and a single hotkey gets everything.
    """
    hotkeys = list(dict.fromkeys(hotkeys))
    if has_moved(now, before):
        total *= 1 + rule.bonus
    others = [hotkey for hotkey in hotkeys if hotkey != now]
    if not others or len(others) == len(hotkeys):
        return {hotkey: total / len(hotkeys) for hotkey in hotkeys}
    rest = total * (1 - rule.share) / len(others)
    return {hotkey: total * rule.share if hotkey == now else rest for hotkey in hotkeys}
