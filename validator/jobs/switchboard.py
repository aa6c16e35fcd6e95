"""The lines to all miners, kept in step with who serves."""

import asyncio
import logging
from collections.abc import Iterable

from compute_horde.signing import Signer
from validator.jobs.lines import Address, Ears, MinerLine

log = logging.getLogger(__name__)


class Switchboard:
    """One line per miner; `serve` opens what is new and hangs up on who left."""

    def __init__(self, validator: Signer, *, absence_seconds: float, ears: Ears) -> None:
        self._validator = validator
        self._absence_seconds = absence_seconds
        self._ears = ears
        self._lines: dict[str, MinerLine] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def line(self, hotkey: str) -> MinerLine | None:
        """The line to a miner we serve, connected or not."""
        return self._lines.get(hotkey)

    def reachable(self, hotkey: str) -> bool:
        """Whether the miner is connected now."""
        line = self._lines.get(hotkey)
        return line is not None and line.connected

    def hurry(self, hotkey: str) -> None:
        """Somebody waits for this miner."""
        if line := self._lines.get(hotkey):
            line.hurry()

    def serve(self, addresses: Iterable[Address]) -> set[str]:
        """Keep lines to exactly these; returns who is no longer served.

        A line with jobs on it stays until they are over; when it breaks it follows its miner.
        """
        wanted = {address.hotkey: address for address in addresses}
        gone = self._lines.keys() - wanted.keys()
        for hotkey in gone:
            if not self._lines[hotkey].in_use:
                self._hang_up(hotkey)
        for hotkey, address in wanted.items():
            line = self._lines.get(hotkey)
            if line is None:
                self._open(address)
            elif line.address != address:
                self._move(line, address)
        return gone

    async def close(self) -> None:
        """Hang up on everybody."""
        tasks = list(self._running.values())
        for hotkey in list(self._lines):
            self._hang_up(hotkey)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _open(self, address: Address) -> None:
        line = MinerLine(
            address, self._validator, absence_seconds=self._absence_seconds, ears=self._ears
        )
        self._lines[address.hotkey] = line
        self._running[address.hotkey] = asyncio.create_task(line.run())

    def _move(self, line: MinerLine, address: Address) -> None:
        if line.in_use:
            line.address = address
            line.hurry()
        else:
            self._hang_up(address.hotkey)
            self._open(address)

    def _hang_up(self, hotkey: str) -> None:
        del self._lines[hotkey]
        self._running.pop(hotkey).cancel()
