"""Sets of values stored in the user's state directory, so that trust decisions outlive a process.

Where the file cannot be written, values are kept in the memory of this process.
"""

from pathlib import Path

from compute_horde_sdk import config

MAX_BYTES = 2**20


class PersistentSet:
    """A grow-only set of values without whitespace, stored one per line of a file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._in_memory: set[str] = set()

    def __contains__(self, value: str) -> bool:
        return value in self._in_memory or value in self._stored()

    def add(self, value: str) -> None:
        """Add `value` and append it to the file."""
        if value in self:
            return
        self._in_memory.add(value)
        path = self.path()
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="ascii") as file:
                file.write(f"{value}\n")
        except (OSError, UnicodeError):
            # It stays in memory.
            return

    def forget_unsaved(self) -> None:
        """Drop the values that are only in memory, as in a new process."""
        self._in_memory.clear()

    def _stored(self) -> set[str]:
        path = self.path()
        if path is None:
            return set()
        try:
            with path.open("rb") as file:
                return set(file.read(MAX_BYTES).decode("ascii", "replace").split())
        except OSError:
            return set()

    def path(self) -> Path | None:
        """Path of the file; None for a user without a home directory."""
        folder = config.state_folder()
        return folder and folder / self._file
