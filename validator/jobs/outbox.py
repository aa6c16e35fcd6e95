"""Statuses on their way to the facilitator, in order, until each is acknowledged."""

import asyncio
from collections import deque

from compute_horde.protocol.status import StatusReported


class Outbox:
    """What was not acknowledged is sent again, in order, on the next connection."""

    def __init__(self) -> None:
        self._waiting: deque[StatusReported] = deque()
        self._unanswered: deque[StatusReported] = deque()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._unanswered)

    def add(self, report: StatusReported) -> None:
        """Tell the facilitator, as soon as it listens."""
        self._waiting.append(report)
        self._news.set()

    async def next(self) -> StatusReported:
        """The next status to send; it counts as sent from now on."""
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        report = self._waiting.popleft()
        self._unanswered.append(report)
        return report

    def answered(self) -> StatusReported | None:
        """The facilitator answered; answers come in the order of what we sent."""
        return self._unanswered.popleft() if self._unanswered else None

    def reopen(self) -> None:
        """A new connection: nothing that was not answered is known to have arrived."""
        self._waiting.extendleft(reversed(self._unanswered))
        self._unanswered.clear()
        self._news.set()
