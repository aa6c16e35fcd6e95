"""The runtime a local chain runs: its metadata, and the codec that reads and writes by it."""

from dataclasses import replace
from functools import cache
from typing import Any

import bittensor_core

from localnet.chain import kinds
from localnet.chain.metadata import (
    Api,
    Description,
    Extrinsic,
    Item,
    Method,
    SignedExtension,
    metadata,
    outer_enum,
)
from localnet.chain.pallets import pallets
from localnet.chain.scale import blake2_256
from localnet.chain.shapes import BYTES, UNIT, Compact, Sequence, option, struct

# A version the SDK was written for; it decides which fields the SDK looks for.
SPEC_VERSION = 435
TRANSACTION_VERSION = 1
SS58_FORMAT = 42

NETUID = (("netuid", kinds.NETUID),)
APIS = (
    Api("Core", (Method("version", "u32"),)),
    Api(
        "SubnetInfoRuntimeApi",
        (
            Method("get_metagraph", option(kinds.METAGRAPH), NETUID),
            Method("get_subnet_hyperparams_v3", option(Sequence(kinds.HYPERPARAMETER)), NETUID),
            Method("get_next_epoch_start_block", option("u64"), NETUID),
        ),
    ),
    Api("NeuronInfoRuntimeApi", (Method("get_neurons_lite", Sequence(kinds.NEURON), NETUID),)),
    Api(
        "TransactionPaymentApi",
        (Method("query_info", kinds.FEE_INFO, (("uxt", BYTES), ("len", "u32"))),),
    ),
)
EXTENSIONS = (
    SignedExtension("CheckNonZeroSender", UNIT, UNIT),
    SignedExtension("CheckSpecVersion", UNIT, "u32"),
    SignedExtension("CheckTxVersion", UNIT, "u32"),
    SignedExtension("CheckGenesis", UNIT, kinds.HASH),
    SignedExtension("CheckMortality", kinds.ERA, kinds.HASH),
    SignedExtension("CheckNonce", Compact("u32"), UNIT),
    SignedExtension("CheckWeight", UNIT, UNIT),
    SignedExtension("ChargeTransactionPayment", Compact("u64"), UNIT),
    SignedExtension("CheckMetadataHash", kinds.METADATA_MODE, option(kinds.HASH)),
)


def description(slot_milliseconds: int) -> Description:
    """Everything the metadata says, with the events that blocks record."""
    modules = pallets(slot_milliseconds)
    event = outer_enum("RuntimeEvent", "Event", modules)
    record = struct(
        "frame_system::EventRecord", phase=kinds.PHASE, event=event, topics=Sequence(kinds.HASH)
    )
    events = Item("Events", Sequence(record), default=b"\x00")
    system = replace(modules[0], storage=(*modules[0].storage, events))
    extrinsic = Extrinsic(kinds.ADDRESS, kinds.SIGNATURE, EXTENSIONS)
    return Description((system, *modules[1:]), APIS, extrinsic, event)


class LocalRuntime:
    """Encodes and decodes storage, calls and answers by our own metadata."""

    def __init__(self, slot_milliseconds: int) -> None:
        described = description(slot_milliseconds)
        self.metadata = metadata(described)
        # Clients keep metadata on disk by genesis hash: other metadata, other genesis.
        self.genesis_hash = blake2_256(self.metadata + SPEC_VERSION.to_bytes(4, "little"))
        self.codec = bittensor_core.Runtime(
            self.metadata, SPEC_VERSION, TRANSACTION_VERSION, SS58_FORMAT
        )
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
        """A storage value from bytes; absence is the item's default, or None if it has none."""
        entry = self.entry(pallet, item)
        if raw is None:
            if entry.modifier == "Optional":
                return None
            raw = bytes(entry.default_bytes)
        return self.codec.decode(entry.value_type, raw)

    def answer(self, api: str, method: str, value: Any) -> bytes:
        """What a runtime API answers, as bytes."""
        return bytes(self.codec.encode(self._apis[api][method]["output"], value))

    def error(self, pallet: str, name: str) -> dict[str, Any]:
        """A pallet's error as the `DispatchError` that events carry."""
        index, number = self._errors[pallet, name]
        return {"Module": {"index": index, "error": [number, 0, 0, 0]}}
