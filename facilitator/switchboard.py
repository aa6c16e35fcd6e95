"""The validators' live connections, and the way a job takes to exactly one of them.

A job names the connection it was said to. All connections end in this one process, so a job whose
connection is not among those we know was lost with it and goes to another.
"""

import secrets
import time
from typing import Protocol

from compute_horde.django.database import in_database
from compute_horde.vocabulary import Extension
from facilitator import actions, cancels

FRESH_SECONDS = 180.0
STALE_SECONDS = 600.0
AT_ONCE = 50
HUNG_UP = 3001

_PROCESS = secrets.token_hex(8)


class Channel(Protocol):
    """One logged-in connection of a validator."""

    name: str
    hotkey: str
    last_heard: float
    extensions: frozenset[Extension]

    async def speak(self, frame: str) -> None: ...

    async def hang_up(self, code: int) -> None: ...


class Switchboard:
    """Who is connected."""

    def __init__(self) -> None:
        self._channels: dict[str, dict[str, Channel]] = {}
        self._leaving: set[str] = set()
        self._left: dict[str, float] = {}
        self._began = time.monotonic()
        self._count = 0

    def new_name(self) -> str:
        """A name no connection of this or an earlier process had."""
        self._count += 1
        return f"{_PROCESS}-{self._count}"

    def join(self, channel: Channel) -> None:
        """From now on this connection may be told jobs."""
        self._channels.setdefault(channel.hotkey, {})[channel.name] = channel

    def leave(self, channel: Channel) -> None:
        """This connection is told nothing more; what it said last may still be being written."""
        channels = self._channels.get(channel.hotkey, {})
        if channels.pop(channel.name, None):
            self._leaving.add(channel.name)
        if not channels:
            self._channels.pop(channel.hotkey, None)
            self._left[channel.hotkey] = time.monotonic()

    def forget(self, channel: Channel) -> None:
        """This connection is gone, and all that it said is written."""
        self._leaving.discard(channel.name)

    def all(self) -> list[Channel]:
        """Every live connection."""
        return [one for channels in self._channels.values() for one in channels.values()]

    def holders(self, hotkey: str) -> list[str]:
        """The connections that may have a validator's jobs: live ones and those just leaving."""
        return [*self._channels.get(hotkey, ()), *self._leaving]

    def find(self, hotkey: str, name: str) -> Channel | None:
        """A connection, while it lives."""
        return self._channels.get(hotkey, {}).get(name)

    def pick(self, hotkey: str) -> Channel | None:
        """The connection of a validator we heard from last, if that was not long ago."""
        channels = self._channels.get(hotkey, {}).values()
        best = max(channels, key=lambda one: one.last_heard, default=None)
        if best is None or time.monotonic() - best.last_heard > FRESH_SECONDS:
            return None
        return best

    def age(self) -> float:
        """For how many seconds anybody could connect here."""
        return time.monotonic() - self._began

    def absent_for(self, hotkey: str) -> float:
        """For how many seconds a validator has had no connection."""
        if hotkey in self._channels:
            return 0.0
        return time.monotonic() - self._left.get(hotkey, self._began)


switchboard = Switchboard()


async def hand(hotkey: str, name: str, frame: str) -> None:
    """Say a job that names connection `name`; if that is gone, another one takes it."""
    if channel := switchboard.find(hotkey, name):
        await channel.speak(frame)
    else:
        await adopt(hotkey)


async def adopt(hotkey: str) -> None:
    """Let a live connection take all that the validator was not told, or told in vain."""
    while channel := switchboard.pick(hotkey):
        holders = switchboard.holders(hotkey)
        frames = await in_database(actions.adopt, hotkey, channel.name, holders, AT_ONCE)
        frames += await in_database(actions.untold_reports, hotkey, AT_ONCE)
        if Extension.CANCEL in channel.extensions:
            holders = switchboard.holders(hotkey)
            frames += await in_database(cancels.untold, hotkey, channel.name, holders, AT_ONCE)
        for frame in frames:
            await channel.speak(frame)
        if not frames:
            return


async def hang_up_on(unwanted: set[str]) -> None:
    """End connections that fell silent and those of unwanted validators."""
    too_long_ago = time.monotonic() - STALE_SECONDS
    for channel in switchboard.all():
        if channel.last_heard < too_long_ago or channel.hotkey in unwanted:
            await channel.hang_up(HUNG_UP)
