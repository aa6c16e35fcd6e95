"""Implements the chain port with the Bittensor SDK.

Only the modules `chain` and `chain_*` of this package import `bittensor`. That costs half
a second and 15 MiB, so only processes that talk to the chain do it.
"""

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from bittensor_core import Keypair

from compute_horde.adapters import chain_decoding as decoding
from compute_horde.adapters import chain_reads as reads
from compute_horde.adapters import weights_transaction
from compute_horde.adapters.bittensor_sdk import bittensor
from compute_horde.adapters.chain_calls import SdkCalls
from compute_horde.adapters.chain_connection import NodeConnection
from compute_horde.adapters.chain_port import (
    AcceptedWeights,
    Chain,
    ChainRefused,
    ChainUnreachable,
    ChainUnreadable,
    Collateral,
    CollateralPolicy,
    EpochSchedule,
    Hyperparameters,
    KeyLineage,
    Metagraph,
    Neuron,
    NotPermitted,
    NotRegistered,
    RateLimited,
    SubnetEvent,
    WeightCommit,
    endpoints,
)
from compute_horde.errors import ChainError, ConfigurationError

__all__ = [
    "AcceptedWeights",
    "BittensorChain",
    "Chain",
    "ChainRefused",
    "ChainUnreachable",
    "ChainUnreadable",
    "Hyperparameters",
    "Metagraph",
    "Neuron",
    "NotPermitted",
    "NotRegistered",
    "RateLimited",
    "connect",
]

READ_SECONDS = 30
WRITE_SECONDS = 180
HEAD_AGE_SECONDS = 120
COMMITMENT_BYTES = 128
RESUBMISSIONS = 2
MAX_MECHANISMS = 8

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class BittensorChain:
    """A chain reached through the Bittensor SDK; opened by `connect`."""

    def __init__(
        self, calls: SdkCalls, connection: NodeConnection, netuid: int, hotkey: Keypair | None
    ) -> None:
        self._calls = calls
        self._connection = connection
        self._netuid = netuid
        self._hotkey = hotkey
        # The runtime under which this connection has read a sound metagraph.
        self._trusted_version: int | None = None

    def head(self) -> int:
        """See `Chain`."""
        return int(self._read("the newest block", lambda sdk: sdk.block()))

    def finalized_head(self) -> int:
        """See `Chain`."""
        return int(self._read("the newest finalized block", lambda sdk: sdk.finalized_block()))

    def block_hash(self, block: int) -> str:
        """See `Chain`."""
        return self._read("a block", lambda sdk: reads.block_hash(sdk, block))

    def spec_version(self) -> int:
        """See `Chain`."""
        return self._calls.read(self._connection.follow_runtime())

    def metagraph(self, block: int | None = None) -> Metagraph:
        """See `Chain`."""
        return self._read("the metagraph", lambda sdk: reads.metagraph(sdk, self._netuid, block))

    def hyperparameters(self) -> Hyperparameters:
        """See `Chain`."""
        return self._read(
            "the hyperparameters", lambda sdk: reads.hyperparameters(sdk, self._netuid)
        )

    def epoch_schedule(self, block: int | None = None) -> EpochSchedule:
        """See `Chain`."""
        return self._read(
            "the schedule of epochs", lambda sdk: reads.epoch_schedule(sdk, self._netuid, block)
        )

    def serve_axon(self, ip: str, port: int) -> None:
        """See `Chain`."""
        axon = bittensor.ServeAxon(netuid=self._netuid, ip=ip, port=port)
        self._calls.write(self._execute(axon))

    def mechanism_count(self) -> int:
        """See `Chain`."""
        item = bittensor.storage.SubtensorModule.MechanismCountCurrent
        found = self._read("the mechanisms", lambda sdk: sdk.query(item, [self._netuid]))
        return int(found)

    def set_weights(
        self,
        weights: Mapping[int, Decimal | float],
        mechanism: int = 0,
        *,
        version: int = 0,
        last_block: int | None = None,
    ) -> AcceptedWeights:
        """See `Chain`."""
        intent_fields = {
            "netuid": self._netuid,
            "mechid": _valid_mechanism(mechanism),
            "weights": {uid: float(weight) for uid, weight in weights.items()},
            "version_key": version,
        }
        result = self._calls.write(self._set_weights(intent_fields, last_block))
        number, _, _ = str(result.extrinsic_id).partition("-")
        return AcceptedWeights(int(number), result.data.get("reveal_round"))

    def weights(self, uid: int, mechanism: int = 0) -> dict[int, int]:
        """See `Chain`."""
        index = decoding.mechanism_index(self._netuid, _valid_mechanism(mechanism))
        item = bittensor.storage.SubtensorModule.Weights
        row = self._read("weights", lambda sdk: sdk.query(item, [index, uid]))
        return {int(target): int(weight) for target, weight in row or ()}

    def weight_commits(self, hotkey: str, mechanism: int = 0) -> tuple[WeightCommit, ...]:
        """See `Chain`."""
        asked = {"netuid": self._netuid, "mechid": _valid_mechanism(mechanism)}
        found = self._read(
            "commits of weights", lambda sdk: sdk.read("timelocked_weight_commits", **asked)
        )
        return decoding.weight_commits(found, hotkey)

    def events(self, block: int) -> tuple[SubnetEvent, ...]:
        """See `Chain`."""
        substrate = self._connection.substrate
        return self._read("events", lambda _: reads.events(substrate, self._netuid, block))

    def collateral(self, hotkey: str) -> Collateral | None:
        """See `Chain`."""
        asked = {"netuid": self._netuid, "hotkey_ss58": hotkey}
        found = self._read("collateral", lambda sdk: sdk.read("miner_collateral", **asked))
        return None if found is None else decoding.collateral(found)

    def collaterals(self) -> dict[str, Collateral]:
        """See `Chain`."""
        return self._read("collateral", lambda sdk: reads.collaterals(sdk, self._netuid))

    def collateral_policy(self) -> CollateralPolicy:
        """See `Chain`."""
        return self._read("collateral", lambda sdk: reads.collateral_policy(sdk, self._netuid))

    def lineage(self, hotkey: str) -> KeyLineage:
        """See `Chain`."""
        return self._read("swaps of keys", lambda sdk: reads.lineage(sdk, self._netuid, hotkey))

    def set_commitment(self, text: str) -> None:
        """See `Chain`."""
        content = text.encode()
        if len(content) > COMMITMENT_BYTES:
            raise _invalid(
                f"a commitment holds at most {COMMITMENT_BYTES} bytes, not {len(content)}"
            )
        info = {"fields": [{f"Raw{len(content)}": "0x" + content.hex()}]}
        call = bittensor.calls.Commitments.set_commitment(netuid=self._netuid, info=info)
        self._calls.write(self._submit(call))

    def commitment(self, hotkey: str) -> str | None:
        """See `Chain`."""
        asked = {"netuid": self._netuid, "hotkey_ss58": hotkey}
        found = self._read("a commitment", lambda sdk: sdk.read("commitment", **asked))
        return None if found is None else str(found.data)

    def commitments(self) -> dict[str, str]:
        """See `Chain`."""
        found = self._read("commitments", lambda sdk: sdk.subnets.commitments(self._netuid))
        return {str(hotkey): str(one.data) for hotkey, one in found.items()}

    def _read(self, what: str, question: Callable[[bittensor.Client], Awaitable[Result]]) -> Result:
        return self._calls.read(self._connection.read(what, question))

    async def _set_weights(self, fields: dict[str, Any], last_block: int | None) -> Any:
        """Set weights, but not under a runtime whose metagraph this SDK may misread."""
        self._signer()
        version = await self._connection.follow_runtime()
        if version != self._trusted_version:
            await self._connection.require_decodable()
            await self._connection.read(
                "the metagraph", lambda sdk: reads.metagraph(sdk, self._netuid, None)
            )
            self._trusted_version = version
        intent = bittensor.SetWeights(**fields)
        return await weights_transaction.send(
            self._connection.client, self._signer(), intent, last_block
        )

    async def _execute(self, intent: Any) -> Any:
        signer = self._signer()
        await self._connection.follow_runtime()
        client = self._connection.client
        result = await client.execute(intent, signer, retries=RESUBMISSIONS)
        return result.raise_for_failure()

    async def _submit(self, call: Any) -> Any:
        signer = self._signer()
        await self._connection.follow_runtime()
        result = await self._connection.client.submit_call(call, signer, signer="hotkey")
        return result.raise_for_failure()

    def _signer(self) -> Any:
        if self._hotkey is None:
            raise ConfigurationError("writing to the chain needs a hotkey; none was given")
        return self._hotkey


@contextlib.contextmanager
def connect(
    urls: str | Sequence[str],
    netuid: int,
    hotkey: Keypair | None = None,
    *,
    timeout_seconds: float = READ_SECONDS,
    write_seconds: float = WRITE_SECONDS,
    head_age_seconds: float = HEAD_AGE_SECONDS,
) -> Iterator[BittensorChain]:
    """Connect to the first node that is up and not behind; writing needs a hotkey.

    `urls` are addresses of nodes or names of networks, in the order of preference; one text may
    hold several, separated by commas. A node is behind if its newest block is older than
    `head_age_seconds`; where all are, the one with the newest block is taken. A single node is
    taken as it is. The connection belongs to this process; a fork must connect again.
    """
    calls = SdkCalls(timeout_seconds, write_seconds)
    try:
        connection = _first_usable(calls, endpoints(urls), head_age_seconds)
        try:
            yield BittensorChain(calls, connection, netuid, hotkey)
        finally:
            calls.close(connection.close())
    finally:
        calls.stop()


def _first_usable(calls: SdkCalls, urls: list[str], head_age_seconds: float) -> NodeConnection:
    """A connection to the first node that is up and not behind, else to the least behind."""
    connections = _connections(urls)
    if len(connections) == 1:
        _open(calls, connections[0])
        return connections[0]
    behind: list[tuple[float, NodeConnection]] = []
    problem: ChainError = ChainUnreachable("no chain node is usable")
    for connection in connections:
        try:
            _open(calls, connection)
            head_time = calls.read(connection.head_time())
        except ChainError as exc:
            problem = exc
            detail = {"node": connection.name, "problem": str(exc)}
            log.warning("chain node is not usable", extra=detail)
            calls.close(connection.close())
            continue
        if time.time() - head_time <= head_age_seconds:
            _close_all(calls, [other for _, other in behind])
            return connection
        log.warning("chain node is behind", extra={"node": connection.name, "head_time": head_time})
        behind.append((head_time, connection))
    if not behind:
        raise problem
    _, best = max(behind, key=lambda found: found[0])
    log.warning("every chain node is behind; using the newest", extra={"node": best.name})
    _close_all(calls, [other for _, other in behind if other is not best])
    return best


def _open(calls: SdkCalls, connection: NodeConnection) -> None:
    try:
        calls.read(connection.open())
    except ChainError:
        calls.close(connection.close())
        raise


def _connections(urls: list[str]) -> list[NodeConnection]:
    try:
        return [NodeConnection(url) for url in urls]
    except ValueError as exc:
        raise _invalid(str(exc)) from exc


def _close_all(calls: SdkCalls, connections: list[NodeConnection]) -> None:
    for connection in connections:
        calls.close(connection.close())


def _valid_mechanism(mechanism: int) -> int:
    if not 0 <= mechanism < MAX_MECHANISMS:
        raise _invalid(f"a mechanism's number is 0 to {MAX_MECHANISMS - 1}, not {mechanism}")
    return mechanism


def _invalid(detail: str) -> ChainRefused:
    return ChainRefused(detail, bittensor.ErrorCode.INVALID_ARGUMENT.value)
