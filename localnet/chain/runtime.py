"""The runtime of a local chain: its metadata and a codec for storage, calls and API results."""

from dataclasses import replace
from functools import cache
from typing import Any

import bittensor_core

from localnet.chain import runtime_types, upgrades
from localnet.chain.metadata import (
    MAGIC,
    ApiMethod,
    ExtrinsicFormat,
    RuntimeApi,
    RuntimeDescription,
    SignedExtension,
    StorageItem,
    metadata,
    outer_enum,
)
from localnet.chain.pallets import pallets
from localnet.chain.scale import blake2_256
from localnet.chain.scale_types import BYTES, UNIT, Compact, Sequence, option, struct
from localnet.chain.upgrades import SPEC_VERSION

TRANSACTION_VERSION = 1
SS58_FORMAT = 42

NETUID = (("netuid", runtime_types.NETUID),)
APIS = (
    RuntimeApi("Core", (ApiMethod("version", "u32"),)),
    RuntimeApi(
        "SubnetInfoRuntimeApi",
        (
            ApiMethod("get_metagraph", option(runtime_types.METAGRAPH), NETUID),
            ApiMethod(
                "get_subnet_hyperparams_v3", option(Sequence(runtime_types.HYPERPARAMETER)), NETUID
            ),
            ApiMethod("get_next_epoch_start_block", option("u64"), NETUID),
        ),
    ),
    RuntimeApi(
        "NeuronInfoRuntimeApi",
        (ApiMethod("get_neurons_lite", Sequence(runtime_types.NEURON), NETUID),),
    ),
    RuntimeApi(
        "TransactionPaymentApi",
        (ApiMethod("query_info", runtime_types.FEE_INFO, (("uxt", BYTES), ("len", "u32"))),),
    ),
)
EXTENSIONS = (
    SignedExtension("CheckNonZeroSender", UNIT, UNIT),
    SignedExtension("CheckSpecVersion", UNIT, "u32"),
    SignedExtension("CheckTxVersion", UNIT, "u32"),
    SignedExtension("CheckGenesis", UNIT, runtime_types.HASH),
    SignedExtension("CheckMortality", runtime_types.ERA, runtime_types.HASH),
    SignedExtension("CheckNonce", Compact("u32"), UNIT),
    SignedExtension("CheckWeight", UNIT, UNIT),
    SignedExtension("ChargeTransactionPayment", Compact("u64"), UNIT),
    SignedExtension("CheckMetadataHash", runtime_types.METADATA_MODE, option(runtime_types.HASH)),
)


def description(slot_milliseconds: int, version: int = SPEC_VERSION) -> RuntimeDescription:
    """The runtime's description, events included; `slot_milliseconds` is the block time."""
    modules = upgrades.upgraded_pallets(pallets(slot_milliseconds), version)
    event = outer_enum("RuntimeEvent", "Event", modules)
    record = struct(
        "frame_system::EventRecord",
        phase=runtime_types.PHASE,
        event=event,
        topics=Sequence(runtime_types.HASH),
    )
    events = StorageItem("Events", Sequence(record), default=b"\x00")
    system = replace(modules[0], storage=(*modules[0].storage, events))
    extrinsic = ExtrinsicFormat(runtime_types.ADDRESS, runtime_types.SIGNATURE, EXTENSIONS)
    return RuntimeDescription((system, *modules[1:]), APIS, extrinsic, event)


class LocalRuntime:
    """Encodes and decodes storage values, calls and API results by the runtime's metadata.

    `metadata` is what clients get; after an upgrade that they cannot read, it is not what the node
    works with.
    """

    def __init__(self, slot_milliseconds: int, spec_version: int = SPEC_VERSION) -> None:
        self.slot_milliseconds = slot_milliseconds
        self.spec_version = spec_version
        described = description(slot_milliseconds, spec_version)
        encoded = metadata(described)
        readable = metadata(upgrades.published(described, spec_version))
        self.metadata = upgrades.published_magic(spec_version) + readable[len(MAGIC) :]
        self.genesis_hash = _genesis_hash(slot_milliseconds)
        self.codec = bittensor_core.Runtime(encoded, spec_version, TRANSACTION_VERSION, SS58_FORMAT)
        self.entry = cache(self.codec.storage_entry)
        self._apis = self.codec.runtime_api_map()
        self._errors = {
            (pallet.name, error.name): (pallet.index, error.index)
            for pallet in described.pallets
            for error in pallet.errors
        }

    def key(self, pallet: str, item: str, keys: tuple[Any, ...]) -> bytes:
        """The storage key of one item."""
        return bytes(self.codec.storage_key(pallet, item, list(keys)))

    def encode(self, pallet: str, item: str, value: Any) -> bytes:
        """A storage value as bytes."""
        return bytes(self.codec.encode(self.entry(pallet, item).value_type, value))

    def decode(self, pallet: str, item: str, raw: bytes | None) -> Any:
        """A storage value from bytes; if they are None, the item's default, or None without one."""
        entry = self.entry(pallet, item)
        if raw is None:
            if entry.modifier == "Optional":
                return None
            raw = bytes(entry.default_bytes)
        return self.codec.decode(entry.value_type, raw)

    def answer(self, api: str, method: str, value: Any) -> bytes:
        """The result of a runtime API method as bytes."""
        return bytes(self.codec.encode(self._apis[api][method]["output"], value))

    def error(self, pallet: str, name: str) -> dict[str, Any] | str:
        """A pallet's error, or one of the runtime itself, as the `DispatchError` of events."""
        if not pallet:
            return name
        index, number = self._errors[pallet, name]
        return {"Module": {"index": index, "error": [number, 0, 0, 0]}}


@cache
def runtime_of(slot_milliseconds: int, spec_version: int) -> LocalRuntime:
    """The runtime of a version; each is made once."""
    return LocalRuntime(slot_milliseconds, spec_version)


@cache
def _genesis_hash(slot_milliseconds: int) -> bytes:
    """The hash of block 0.

    Clients cache metadata by genesis hash and version, so it has to change with the metadata of a
    new chain.
    """
    encoded = metadata(description(slot_milliseconds))
    return blake2_256(encoded + SPEC_VERSION.to_bytes(4, "little"))
