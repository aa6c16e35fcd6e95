"""A client of a local chain for the operator's JSON-RPC methods."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from compute_horde.errors import ChainError
from localnet.chain.operator_rpc import ADVANCE_LIMIT

FRAME_LIMIT = 16 << 20


class Admin:
    """A connection to a local chain; amounts are in rao.

    Every method raises `ChainError` when the chain refuses the request or does not answer.
    """

    def __init__(self, socket: ClientConnection, timeout_seconds: float) -> None:
        self._socket = socket
        self._timeout_seconds = timeout_seconds
        self._requests = 0

    def add_neuron(self, hotkey: str, coldkey: str, stake_rao: int = 0) -> int:
        """Register a neuron, without a burn; its uid."""
        return int(self.call("local_addNeuron", hotkey, coldkey, stake_rao)["uid"])

    def set_stake(self, hotkey: str, stake_rao: int) -> None:
        """Set a neuron's stake and grant the validator permits anew."""
        self.call("local_setStake", hotkey, stake_rao)

    def fund(self, account: str, rao: int) -> int:
        """Add to an account's free balance; the new balance."""
        return int(self.call("local_fund", account, rao)["balance_rao"])

    def advance(self, blocks: int = 1) -> int:
        """Produce blocks now; the number of the newest."""
        while blocks > ADVANCE_LIMIT:
            self.call("local_advance", ADVANCE_LIMIT)
            blocks -= ADVANCE_LIMIT
        return int(self.call("local_advance", blocks)["block"])

    def set_hyperparameter(self, name: str, value: int) -> None:
        """Set a hyperparameter of the subnet or one of `operator_rpc.OTHER_VALUES`.

        With 0 `max_epochs_per_block` every epoch is deferred. Boolean hyperparameters take a bool.
        """
        self.call("local_setHyperparameter", name, value)

    def set_owner(self, coldkey: str) -> None:
        """Make a coldkey the owner of the subnet."""
        self.call("local_setOwner", coldkey)

    def trigger_epoch(self, blocks: int = 0) -> int:
        """Run an epoch after this many more blocks, off the schedule; the block of it."""
        return int(self.call("local_triggerEpoch", blocks)["epoch_block"])

    def open_commit(self, hotkey: str, weights: Mapping[int, int], mechanism: int = 0) -> None:
        """Supply the content of a validator's pending commits, which the chain cannot decrypt."""
        self.call("local_openCommit", hotkey, [list(pair) for pair in weights.items()], mechanism)

    def fail_reveals(self, count: int = 1) -> None:
        """Make the next reveals fail; their weights are lost."""
        self.call("local_failReveals", count)

    def lock_collateral(self, hotkey: str, alpha_rao: int) -> None:
        """Give a neuron new stake that is locked as its collateral."""
        self.call("local_lockCollateral", hotkey, alpha_rao)

    def earn(self, hotkey: str, alpha_rao: int) -> None:
        """Pay a neuron, which releases or fills its collateral."""
        self.call("local_earn", hotkey, alpha_rao)

    def swap_hotkey(self, old: str, new: str) -> int:
        """Replace a neuron's hotkey; its uid."""
        return int(self.call("local_swapHotkey", old, new)["uid"])

    def swap_coldkey(self, old: str, new: str) -> None:
        """Replace the owner of neurons."""
        self.call("local_swapColdkey", old, new)

    def upgrade_runtime(self, kind: str) -> int:
        """Change the runtime while it runs, see `upgrades.UpgradeKind`; its new spec version."""
        return int(self.call("local_upgradeRuntime", kind)["spec_version"])

    def head(self) -> int:
        """The number of the newest block."""
        return int(self.call("chain_getHeader")["number"], 16)

    def call(self, method: str, *params: Any) -> Any:
        """Call any JSON-RPC method of the chain; its result."""
        self._requests += 1
        request = {"jsonrpc": "2.0", "id": self._requests, "method": method, "params": params}
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
    """Connect to the local chain at `url`. Raises `ChainError` where there is none."""
    try:
        socket = connect(url, open_timeout=timeout_seconds, max_size=FRAME_LIMIT, proxy=None)
    except (OSError, TimeoutError, InvalidHandshake) as exc:
        raise ChainError(f"no local chain at {url}: {exc}") from exc
    with socket:
        yield Admin(socket, timeout_seconds)
