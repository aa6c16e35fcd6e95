"""Storage items by pallet and name, with decoded values."""

from typing import Any

from localnet.chain.runtime import LocalRuntime
from localnet.chain.state import ChainState
from localnet.chain.subtensor_pallet import SUBTENSOR

Event = tuple[str, dict[str, Any]]
Arguments = dict[str, Any]


class DispatchError(Exception):
    """A call failed; the block's events contain the pallet's error of this name.

    Without a pallet, the name is an error of the runtime itself, such as `BadOrigin`.
    """

    def __init__(self, name: str, pallet: str = SUBTENSOR) -> None:
        super().__init__(name)
        self.name = name
        self.pallet = pallet


class Storage:
    """The storage at the end of block `number` if pinned, else that of the block in production."""

    def __init__(
        self, runtime: LocalRuntime, state: ChainState, number: int, *, is_pinned: bool
    ) -> None:
        self.runtime = runtime
        self._state = state
        self._pinned = number if is_pinned else None
        self.number = number

    def get(self, item: str, *keys: Any, pallet: str = SUBTENSOR) -> Any:
        """The value of an item, or its default."""
        raw = self._state.read(self.runtime.key(pallet, item, keys), self._pinned)
        return self.runtime.decode(pallet, item, raw)

    def put(self, item: str, *keys: Any, value: Any, pallet: str = SUBTENSOR) -> None:
        """Set an item in the block in production; None removes it."""
        raw = None if value is None else self.runtime.encode(pallet, item, value)
        self._state.write(self.runtime.key(pallet, item, keys), raw)


def as_bytes(value: Any) -> bytes:
    """Bytes from the forms in which the codec decodes them: text, hexadecimal, list of numbers."""
    if not isinstance(value, str):
        return bytes(value)
    return bytes.fromhex(value[2:]) if value.startswith("0x") else value.encode()
