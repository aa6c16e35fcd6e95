"""Storage in the words of the runtime: items by name, values decoded."""

from typing import Any

from localnet.chain.pallets import SUBTENSOR
from localnet.chain.runtime import LocalRuntime
from localnet.chain.state import State


class DispatchError(Exception):
    """A call that was valid but may not be done; the chain records the error's name."""

    def __init__(self, name: str, pallet: str = SUBTENSOR) -> None:
        super().__init__(name)
        self.name = name
        self.pallet = pallet


class Ledger:
    """Reads and writes storage; pinned to `block`, or inside the block being made."""

    def __init__(self, runtime: LocalRuntime, state: State, number: int, *, pinned: bool) -> None:
        self._runtime = runtime
        self._state = state
        self._pinned = number if pinned else None
        self.number = number

    def get(self, item: str, *keys: Any, pallet: str = SUBTENSOR) -> Any:
        """One item's value, or its default."""
        raw = self._state.read(self._runtime.key(pallet, item, keys), self._pinned)
        return self._runtime.decode(pallet, item, raw)

    def put(self, item: str, *keys: Any, value: Any, pallet: str = SUBTENSOR) -> None:
        """Set one item in the block being made; None removes it."""
        raw = None if value is None else self._runtime.encode(pallet, item, value)
        self._state.write(self._runtime.key(pallet, item, keys), raw)
