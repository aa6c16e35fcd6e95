"""The rate limit of the attackers, and their counters."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Limits the attacks per second of all attackers of a run, and counts attacks and answers."""

    per_second: float
    deadline: float
    counts: Counter[str] = field(default_factory=Counter)
    # Answers of each server by class of HTTP status, and refused connections.
    answers: Counter[str] = field(default_factory=Counter)
    _next: float = 0.0

    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return asyncio.get_running_loop().time() >= self.deadline

    async def turn(self, what: str) -> None:
        """Count the action and wait until it may be done."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._next = max(self._next, now) + random.expovariate(self.per_second)
        self.counts[what] += 1
        await asyncio.sleep(max(self._next - now, 0))
