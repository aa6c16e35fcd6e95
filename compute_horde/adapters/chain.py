"""Implements the chain port with the Bittensor SDK; the only module that uses `bittensor`.

Importing this module costs half a second and 15 MiB, so only processes that talk to the chain do.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import Coroutine, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from bittensor_core import Keypair

from compute_horde.adapters.bittensor_sdk import bittensor
from compute_horde.adapters.chain_port import (
    AcceptedWeights,
    Chain,
    ChainRefused,
    ChainUnreachable,
    Hyperparameters,
    Metagraph,
    Neuron,
    NotPermitted,
    NotRegistered,
    RateLimited,
)
from compute_horde.concurrency.loop_thread import BlockingLoop, Forked
from compute_horde.errors import ChainError, ConfigurationError

__all__ = [
    "AcceptedWeights",
    "BittensorChain",
    "Chain",
    "ChainRefused",
    "ChainUnreachable",
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
CLOSE_SECONDS = 5
COMMITMENT_BYTES = 128
RESUBMISSIONS = 2
NO_ADDRESS = "0.0.0.0"

Result = TypeVar("Result")


class BittensorChain:
    """A chain reached through the Bittensor SDK; opened by `connect`."""

    def __init__(
        self, sdk_loop: "_SdkClient", client: bittensor.Client, netuid: int, hotkey: Keypair | None
    ) -> None:
        self._sdk_loop = sdk_loop
        self._client = client
        self._netuid = netuid
        self._hotkey = hotkey

    def head(self) -> int:
        """See `Chain`."""
        return int(self._sdk_loop.read(self._client.block()))

    def finalized_head(self) -> int:
        """See `Chain`."""
        return int(self._sdk_loop.read(self._client.finalized_block()))

    def block_hash(self, block: int) -> str:
        """See `Chain`."""
        return self._sdk_loop.read(self._read_block_hash(block))

    def metagraph(self, block: int | None = None) -> Metagraph:
        """See `Chain`."""
        return self._sdk_loop.read(self._read_metagraph(block))

    def hyperparameters(self) -> Hyperparameters:
        """See `Chain`."""
        return self._sdk_loop.read(self._read_hyperparameters())

    def serve_axon(self, ip: str, port: int) -> None:
        """See `Chain`."""
        axon = bittensor.ServeAxon(netuid=self._netuid, ip=ip, port=port)
        self._sdk_loop.write(self._execute(axon))

    def set_weights(self, weights: Mapping[int, Decimal | float]) -> AcceptedWeights:
        """See `Chain`."""
        row = {uid: float(weight) for uid, weight in weights.items()}
        result = self._sdk_loop.write(self._set_weights(row))
        number, _, _ = str(result.extrinsic_id).partition("-")
        return AcceptedWeights(int(number), result.data.get("reveal_round"))

    def weights(self, uid: int) -> dict[int, int]:
        """See `Chain`."""
        item = bittensor.storage.SubtensorModule.Weights
        row = self._sdk_loop.read(self._client.query(item, [self._netuid, uid]))
        return {int(target): int(weight) for target, weight in row or ()}

    def set_commitment(self, text: str) -> None:
        """See `Chain`."""
        content = text.encode()
        if len(content) > COMMITMENT_BYTES:
            raise ChainRefused(
                f"a commitment holds at most {COMMITMENT_BYTES} bytes, not {len(content)}",
                bittensor.ErrorCode.INVALID_ARGUMENT.value,
            )
        info = {"fields": [{f"Raw{len(content)}": "0x" + content.hex()}]}
        call = bittensor.calls.Commitments.set_commitment(netuid=self._netuid, info=info)
        self._sdk_loop.write(self._submit(call))

    def commitment(self, hotkey: str) -> str | None:
        """See `Chain`."""
        asked = self._client.read("commitment", netuid=self._netuid, hotkey_ss58=hotkey)
        found = self._sdk_loop.read(asked)
        return None if found is None else str(found.data)

    def commitments(self) -> dict[str, str]:
        """See `Chain`."""
        found = self._sdk_loop.read(self._client.subnets.commitments(self._netuid))
        return {str(hotkey): str(one.data) for hotkey, one in found.items()}

    async def _read_block_hash(self, block: int) -> str:
        found = await self._client.block_info(block)
        if found is None:
            not_found = bittensor.ErrorCode.NOT_FOUND.value
            raise ChainRefused(f"there is no block {block}", not_found)
        return str(found.hash)

    async def _read_metagraph(self, block: int | None) -> Metagraph:
        snapshot = await self._client.at(block)
        columns = await snapshot.read("metagraph", netuid=self._netuid)
        return _metagraph(self._existing(columns))

    async def _read_hyperparameters(self) -> Hyperparameters:
        values = await self._client.read("subnet_hyperparameters", netuid=self._netuid)
        known = self._existing(values)
        return Hyperparameters(**{name: known[name] for name in Hyperparameters.__slots__})

    def _existing(self, answer: dict[str, Any] | None) -> dict[str, Any]:
        if answer is None:
            missing = bittensor.ErrorCode.SUBNET_NOT_EXISTS.value
            raise ChainRefused(f"there is no subnet {self._netuid}", missing)
        return answer

    async def _set_weights(self, row: dict[int, float]) -> Any:
        return await self._execute(bittensor.SetWeights(netuid=self._netuid, weights=row))

    async def _execute(self, intent: Any) -> Any:
        result = await self._client.execute(intent, self._signer(), retries=RESUBMISSIONS)
        return result.raise_for_failure()

    async def _submit(self, call: Any) -> Any:
        result = await self._client.submit_call(call, self._signer(), signer="hotkey")
        return result.raise_for_failure()

    def _signer(self) -> Any:
        if self._hotkey is None:
            raise ConfigurationError("writing to the chain needs a hotkey; none was given")
        return self._hotkey


@contextlib.contextmanager
def connect(
    url: str,
    netuid: int,
    hotkey: Keypair | None = None,
    *,
    timeout_seconds: float = READ_SECONDS,
    write_seconds: float = WRITE_SECONDS,
) -> Iterator[BittensorChain]:
    """Connect to the node at `url` (or a network's name); writing needs a hotkey.

    The connection belongs to this process; a fork must connect again.
    """
    sdk_loop = _SdkClient(timeout_seconds, write_seconds)
    try:
        client = sdk_loop.read(_open_client(url))
        try:
            yield BittensorChain(sdk_loop, client, netuid, hotkey)
        finally:
            sdk_loop.close(client)
    finally:
        sdk_loop.stop()


async def _open_client(url: str) -> bittensor.Client:
    return await bittensor.Subtensor(url)


class _SdkClient:
    """Runs the SDK's coroutines, each with a time limit."""

    def __init__(self, read_seconds: float, write_seconds: float) -> None:
        self._read_seconds = read_seconds
        self._write_seconds = write_seconds
        self._loop = BlockingLoop()

    def read(self, query: Coroutine[Any, Any, Result]) -> Result:
        """The result of a query, within the limit for reading."""
        return self._wait(query, self._read_seconds)

    def write(self, call: Coroutine[Any, Any, Result]) -> Result:
        """The result of a transaction once it is final, within the limit for writing."""
        return self._wait(call, self._write_seconds)

    def close(self, client: bittensor.Client) -> None:
        """Close the connection; errors of a node that does not answer are ignored."""
        with contextlib.suppress(ChainError):
            self._wait(client.close(), CLOSE_SECONDS)

    def stop(self) -> None:
        """Cancel what still runs and end the thread."""
        self._loop.stop()

    def _wait(self, coroutine: Coroutine[Any, Any, Result], seconds: float) -> Result:
        bounded = _with_deadline(coroutine, seconds)
        try:
            return self._loop.wait(bounded)
        except Forked as exc:
            coroutine.close()
            raise ChainUnreachable(
                "connected before this process was forked; connect anew"
            ) from exc


async def _with_deadline(coroutine: Coroutine[Any, Any, Result], seconds: float) -> Result:
    """The coroutine's result; every failure of the SDK is raised as a `ChainError`."""
    try:
        async with asyncio.timeout(seconds):
            return await coroutine
    except TimeoutError as exc:
        detail = (
            f"no answer from the chain within {seconds:g} seconds; "
            "a transaction may still be included"
        )
        raise ChainUnreachable(detail) from exc
    except (bittensor.RpcConnectionError, OSError) as exc:
        raise ChainUnreachable(f"the chain cannot be reached: {exc}") from exc
    except bittensor.ChainError as exc:
        raise _refused_error(exc) from exc
    except (bittensor.BittensorError, ValueError, TypeError, LookupError, AttributeError) as exc:
        invalid = bittensor.ErrorCode.INVALID_ARGUMENT.value
        raise ChainRefused(f"{type(exc).__name__}: {exc}", invalid) from exc


REFUSALS: dict[bittensor.ErrorCode, type[ChainRefused]] = {
    bittensor.ErrorCode.RATE_LIMITED: RateLimited,
    bittensor.ErrorCode.NOT_REGISTERED: NotRegistered,
    bittensor.ErrorCode.NOT_AUTHORIZED: NotPermitted,
    # The chain reports too little stake to set weights as an insufficient balance.
    bittensor.ErrorCode.INSUFFICIENT_BALANCE: NotPermitted,
}


def _refused_error(error: bittensor.ChainError) -> ChainRefused:
    kind = REFUSALS.get(error.code, ChainRefused)
    return kind(f"{error.name or error.code.value}: {error}", error.code.value, error.name)


def _metagraph(columns: dict[str, Any]) -> Metagraph:
    """Builds a metagraph from the SDK's columns."""
    rows = zip(
        columns["hotkeys"],
        columns["coldkeys"],
        columns["total_stake"],
        columns["validator_permit"],
        columns["axons"],
        columns["last_update"],
        strict=True,
    )
    neurons = tuple(
        Neuron(
            uid=uid,
            hotkey=str(hotkey),
            coldkey=str(coldkey),
            total_stake_rao=int(stake),
            validator_permit=bool(permit),
            ip=_ip(axon),
            port=int(axon["port"]) if axon["ip"] else 0,
            last_update=int(last_update),
        )
        for uid, (hotkey, coldkey, stake, permit, axon, last_update) in enumerate(rows)
    )
    return Metagraph(int(columns["block"]), neurons)


def _ip(axon: dict[str, Any]) -> str:
    number = int(axon["ip"])
    if not number:
        return NO_ADDRESS
    kind = ipaddress.IPv6Address if int(axon["ip_type"]) == 6 else ipaddress.IPv4Address
    try:
        return str(kind(number))
    except ValueError:
        # Neurons may publish invalid addresses; one must not make the metagraph unreadable.
        return NO_ADDRESS
