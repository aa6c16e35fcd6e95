"""A connection to one node: it notices runtime upgrades, and returns nothing that was misread."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from compute_horde.adapters.bittensor_sdk import bittensor
from compute_horde.adapters.chain_port import ChainUnreadable
from compute_horde.adapters.websocket import without_path

# What the SDK raises when the runtime's metadata or a value has not the form that it expects.
DECODING_ERRORS = (ValueError, TypeError, LookupError, AttributeError)

log = logging.getLogger(__name__)

Result = TypeVar("Result")


# mypy does not follow the SDK.
class NodeSubstrate(bittensor.RpcSubstrate):  # type: ignore[misc]
    """The SDK's access to a node, with a request that the SDK answers from a cache."""

    async def runtime_version(self) -> int:
        """The spec version of the runtime at the newest block."""
        answer = await self._read(lambda raw: raw.rpc_request("state_getRuntimeVersion"))
        return int(answer["specVersion"])

    async def decoding_version(self) -> int:
        """The spec version of the runtime by which the SDK decodes the newest block.

        That is the one of its parent: in the block of an upgrade, it is not the present runtime.
        """
        header = await self._read(lambda raw: raw.rpc_request("chain_getHeader"))
        asked = [header["parentHash"]]
        if int(asked[0], 16) == 0:
            # The first block has no parent.
            return await self.runtime_version()
        answer = await self._read(lambda raw: raw.rpc_request("state_getRuntimeVersion", asked))
        return int(answer["specVersion"])


class NodeConnection:
    """The SDK's client of a node, with the metadata of the node's present runtime.

    Raises `ValueError` for a name that is neither a network's nor an address.
    """

    def __init__(self, url: str) -> None:
        network, endpoint = bittensor.settings.resolve_endpoint(url)
        fallbacks = bittensor.settings.default_fallback_endpoints(network)
        # What may be logged: the rest of an address may be a secret.
        self.name = without_path(url) if "://" in url else url
        self.substrate = NodeSubstrate(
            endpoint,
            fallback_endpoints=[one for one in fallbacks if one != endpoint],
            archive_endpoints=bittensor.settings.default_archive_endpoints(network),
        )
        self.client = bittensor.Client(url, substrate=self.substrate)
        self._spec_version: int | None = None
        self._is_open = False

    async def open(self) -> None:
        """Connect. Raises `ChainUnreadable` for metadata that the SDK cannot decode."""
        try:
            await self.substrate.connect()
            self._spec_version = await self.substrate.runtime_version()
            await self.client.connect()
        except DECODING_ERRORS as exc:
            raise self._unreadable("the metadata", exc) from exc
        self._is_open = True

    async def close(self) -> None:
        """Close the connection."""
        self._is_open = False
        await self.client.close()

    async def follow_runtime(self) -> int:
        """The version of the runtime; after an upgrade, its metadata is loaded first.

        The SDK by itself notices an upgrade after up to 12 seconds, and until then signs for the
        runtime before it.
        """
        if not self._is_open:
            await self.open()
        version = await self.substrate.runtime_version()
        if version != self._spec_version:
            log.info(
                "the chain's runtime was upgraded; loading its metadata",
                extra={"previous": self._spec_version, "spec_version": version},
            )
            await self.close()
            self._spec_version = version
            await self.open()
        return version

    async def require_decodable(self) -> None:
        """Raise `ChainUnreadable` in the block of an upgrade.

        Only what later blocks hold is decoded by the metadata of the new runtime.
        """
        if await self.substrate.decoding_version() != self._spec_version:
            raise ChainUnreadable(
                f"the chain was upgraded to runtime {self._spec_version} in its newest block, "
                "which is decoded by the runtime before it; trying again in the next block"
            )

    async def read(
        self, what: str, question: Callable[[bittensor.Client], Awaitable[Result]]
    ) -> Result:
        """The result of a query. Raises `ChainUnreadable` if it cannot be decoded."""
        await self.follow_runtime()
        try:
            return await question(self.client)
        except DECODING_ERRORS as exc:
            raise self._unreadable(what, exc) from exc

    async def head_time(self) -> float:
        """The time of the newest block, in seconds since the epoch."""
        newest = await self.read("the time of the newest block", lambda sdk: sdk.timestamp())
        return float(newest.timestamp())

    def _unreadable(self, what: str, problem: Exception) -> ChainUnreadable:
        runtime = f"runtime {self._spec_version}" if self._spec_version else "present runtime"
        return ChainUnreadable(
            f"the Bittensor SDK {bittensor.__version__} cannot read {what} of the chain's "
            f"{runtime}: {problem}; install an SDK release made for this runtime"
        )
