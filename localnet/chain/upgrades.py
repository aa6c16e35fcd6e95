"""Runtime upgrades: what changes for clients when the operator upgrades the running chain.

The spec version says what the runtime is: clients cache metadata by it, so two runtimes of the
same version must be the same. It grows by three with each upgrade, and its remainder says of
which kind the last one was.
"""

from dataclasses import replace
from enum import StrEnum

from localnet.chain import runtime_types
from localnet.chain.metadata import (
    MAGIC,
    ApiMethod,
    Pallet,
    RuntimeApi,
    RuntimeDescription,
    StorageItem,
)
from localnet.chain.scale import uint
from localnet.chain.scale_types import Field, option

# A version of subtensor that the SDK supports; it decides which fields the SDK reads.
SPEC_VERSION = 435
SPEC_NAME = "node-subtensor"
# The first bytes of metadata of a version that does not exist.
UNKNOWN_MAGIC = b"meta\x63"


class UpgradeKind(StrEnum):
    """What an upgrade does to clients.

    `readable` adds a storage item, as every upgrade does. `metagraph` publishes another type of
    the metagraph's `netuid` than the node encodes, which is what clients with types of their own
    make of such a change. `metadata` publishes metadata of a version that no client knows.
    """

    READABLE = "readable"
    METAGRAPH = "metagraph"
    METADATA = "metadata"


KINDS = tuple(UpgradeKind)


def next_version(version: int, kind: UpgradeKind) -> int:
    """The version to which an upgrade of this kind leads."""
    return SPEC_VERSION + len(KINDS) * (_upgrades(version) + 1) + KINDS.index(kind)


def kind_of(version: int) -> UpgradeKind | None:
    """The kind of the last upgrade; None for a chain that was never upgraded."""
    return KINDS[(version - SPEC_VERSION) % len(KINDS)] if _upgrades(version) else None


def upgraded_pallets(pallets: tuple[Pallet, ...], version: int) -> tuple[Pallet, ...]:
    """The pallets of a version: each upgrade adds a storage item to the last one."""
    added = tuple(
        StorageItem(f"AddedByUpgrade{number}", "u32", default=uint(number, 32))
        for number in range(1, _upgrades(version) + 1)
    )
    *first, last = pallets
    return (*first, replace(last, storage=last.storage + added))


def published(described: RuntimeDescription, version: int) -> RuntimeDescription:
    """What clients read in the metadata of a runtime."""
    if kind_of(version) is not UpgradeKind.METAGRAPH:
        return described
    return replace(described, apis=tuple(_with_other_netuid(api) for api in described.apis))


def published_magic(version: int) -> bytes:
    """The first bytes of the published metadata, which name its version."""
    return UNKNOWN_MAGIC if kind_of(version) is UpgradeKind.METADATA else MAGIC


def _upgrades(version: int) -> int:
    return (version - SPEC_VERSION) // len(KINDS)


def _with_other_netuid(api: RuntimeApi) -> RuntimeApi:
    methods = tuple(
        replace(method, output=option(OTHER_METAGRAPH)) if _is_metagraph(method) else method
        for method in api.methods
    )
    return replace(api, methods=methods)


def _is_metagraph(method: ApiMethod) -> bool:
    return method.name == "get_metagraph"


OTHER_METAGRAPH = replace(
    runtime_types.METAGRAPH,
    fields=(Field("netuid", runtime_types.NETUID), *runtime_types.METAGRAPH.fields[1:]),
)
