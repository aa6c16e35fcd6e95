"""A small client for the operator's methods of a local chain."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from compute_horde.errors import ChainError
from localnet.chain.operator import ADVANCE_LIMIT

FRAME_LIMIT = 16 << 20


class Admin:
    """An open line to a local chain's operator methods. Amounts are whole rao."""

    def __init__(self, socket: ClientConnection, timeout_seconds: float) -> None:
        self._socket = socket
        self._timeout_seconds = timeout_seconds
        self._requests = 0

    def add_neuron(self, hotkey: str, coldkey: str, stake_rao: int = 0) -> int:
        """Register a neuron at once; its uid."""
        return int(self.call("local_addNeuron", hotkey, coldkey, stake_rao)["uid"])

    def set_stake(self, hotkey: str, stake_rao: int) -> None:
        """Set a neuron's stake; permits are granted anew at once."""
        self.call("local_setStake", hotkey, stake_rao)

    def fund(self, account: str, rao: int) -> int:
        """Give an account free balance; its new balance."""
        return int(self.call("local_fund", account, rao)["balance_rao"])

    def advance(self, blocks: int = 1) -> int:
        """Make blocks now; the number of the newest."""
        while blocks > ADVANCE_LIMIT:
            self.call("local_advance", ADVANCE_LIMIT)
            blocks -= ADVANCE_LIMIT
        return int(self.call("local_advance", blocks)["block"])

    def set_hyperparameter(self, name: str, value: int) -> None:
        """Set a hyperparameter, or `burn`, `stake_threshold`, `commitment_space`.

        A switch takes a bool.
        """
        self.call("local_setHyperparameter", name, value)

    def head(self) -> int:
        """The number of the newest block."""
        return int(self.call("chain_getHeader")["number"], 16)

    def call(self, method: str, *given: Any) -> Any:
        """Ask for any method of the chain; `ChainError` when it refuses or does not answer."""
        self._requests += 1
        request = {"jsonrpc": "2.0", "id": self._requests, "method": method, "params": given}
        try:
            self._socket.send(json.dumps(request))
            response = json.loads(self._socket.recv(timeout=self._timeout_seconds))
        except (ConnectionClosed, TimeoutError) as exc:
            raise ChainError(f"the local chain did not answer {method}: {exc}") from exc
        if "error" in response:
            raise ChainError(f"the local chain refused {method}: {response['error']['message']}")
        return response["result"]


@contextmanager
def administer(url: str, timeout_seconds: float = 30) -> Iterator[Admin]:
    """Connect to the local chain at `url`."""
    try:
        socket = connect(url, open_timeout=timeout_seconds, max_size=FRAME_LIMIT, proxy=None)
    except (OSError, TimeoutError, InvalidHandshake) as exc:
        raise ChainError(f"there is no local chain at {url}: {exc}") from exc
    with socket:
        yield Admin(socket, timeout_seconds)
