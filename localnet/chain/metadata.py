"""Encodes a description of pallets and runtime APIs as RuntimeMetadata version 15."""

from collections.abc import Callable
from dataclasses import dataclass

from localnet.chain.scale import compact, text, vector
from localnet.chain.scale_types import (
    BYTES,
    NO_DOCS,
    UNIT,
    Enum,
    Field,
    ScaleType,
    Struct,
    Tuple,
    TypeRegistry,
    Variant,
)

MAGIC = b"meta\x0f"
EXTRINSIC_VERSION = 4
HASHERS = {"Blake2_128Concat": 2, "Twox64Concat": 5, "Identity": 6}
NONE = b"\x00"


@dataclass(frozen=True, slots=True)
class StorageKey:
    """The type of one key of a storage map, and its hasher in the storage key."""

    hasher: str
    scale_type: ScaleType


@dataclass(frozen=True, slots=True)
class StorageItem:
    """A storage value, or a map if it has keys; without a default it is optional."""

    name: str
    value: ScaleType
    keys: tuple[StorageKey, ...] = ()
    default: bytes | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of the runtime with its encoded value."""

    name: str
    scale_type: ScaleType
    value: bytes


@dataclass(frozen=True, slots=True)
class Pallet:
    """A module of the runtime: its storage, calls, events, errors and constants."""

    name: str
    index: int
    storage: tuple[StorageItem, ...] = ()
    calls: tuple[Variant, ...] = ()
    events: tuple[Variant, ...] = ()
    errors: tuple[Variant, ...] = ()
    constants: tuple[Constant, ...] = ()

    def enum(self, kind: str, variants: tuple[Variant, ...]) -> Enum:
        """The enum of the pallet's calls, events or errors; `kind` is Call, Event or Error."""
        return Enum((f"pallet_{self.name.lower()}", "pallet", kind), variants)


@dataclass(frozen=True, slots=True)
class ApiMethod:
    """A method of a runtime API."""

    name: str
    output: ScaleType
    inputs: tuple[tuple[str, ScaleType], ...] = ()


@dataclass(frozen=True, slots=True)
class RuntimeApi:
    """A runtime API: read-only methods that clients call by `state_call`."""

    name: str
    methods: tuple[ApiMethod, ...]


@dataclass(frozen=True, slots=True)
class SignedExtension:
    """A signed extension: its part of the extrinsic, and what is signed without being sent."""

    name: str
    extra: ScaleType
    additional_signed: ScaleType


@dataclass(frozen=True, slots=True)
class ExtrinsicFormat:
    """The types of a signed extrinsic's address, signature and extensions."""

    address: ScaleType
    signature: ScaleType
    extensions: tuple[SignedExtension, ...]


@dataclass(frozen=True, slots=True)
class RuntimeDescription:
    """A whole runtime; `event` is the runtime-wide event enum, which storage items may contain."""

    pallets: tuple[Pallet, ...]
    apis: tuple[RuntimeApi, ...]
    extrinsic: ExtrinsicFormat
    event: Enum


def outer_enum(name: str, kind: str, pallets: tuple[Pallet, ...]) -> Enum:
    """The runtime-wide enum of all pallets' calls, events or errors."""
    attribute = f"{kind.lower()}s"
    variants = []
    for pallet in pallets:
        own: tuple[Variant, ...] = getattr(pallet, attribute)
        if own:
            inner = Field(None, pallet.enum(kind, own))
            variants.append(Variant(pallet.name, pallet.index, (inner,)))
    return Enum(("node_subtensor_runtime", name), tuple(variants))


def metadata(description: RuntimeDescription) -> bytes:
    """The metadata as `Metadata_metadata_at_version(15)` returns it."""
    registry = TypeRegistry()
    call = outer_enum("RuntimeCall", "Call", description.pallets)
    error = outer_enum("RuntimeError", "Error", description.pallets)
    body = vector(_pallet(registry, pallet) for pallet in description.pallets)
    body += _extrinsic(registry, description.extrinsic, call)
    body += registry.encoded_id(UNIT)
    body += vector(_api(registry, api) for api in description.apis)
    body += b"".join(map(registry.encoded_id, (call, description.event, error)))
    body += compact(0)
    return MAGIC + registry.encoded() + body


def _pallet(registry: TypeRegistry, pallet: Pallet) -> bytes:
    def optional(kind: str, variants: tuple[Variant, ...]) -> bytes:
        return b"\x01" + registry.encoded_id(pallet.enum(kind, variants)) if variants else NONE

    storage = NONE
    if pallet.storage:
        items = vector(_item(registry.encoded_id, item) for item in pallet.storage)
        storage = b"\x01" + text(pallet.name) + items
    return (
        text(pallet.name)
        + storage
        + optional("Call", pallet.calls)
        + optional("Event", pallet.events)
        + vector(_constant(registry, constant) for constant in pallet.constants)
        + optional("Error", pallet.errors)
        + bytes([pallet.index])
        + NO_DOCS
    )


def _item(encoded_id: Callable[[ScaleType], bytes], item: StorageItem) -> bytes:
    if item.keys:
        scale_types = tuple(key.scale_type for key in item.keys)
        hashers = vector(bytes([HASHERS[key.hasher]]) for key in item.keys)
        key = scale_types[0] if len(scale_types) == 1 else Tuple(scale_types)
        kind = b"\x01" + hashers + encoded_id(key) + encoded_id(item.value)
    else:
        kind = b"\x00" + encoded_id(item.value)
    modifier = b"\x00" if item.default is None else b"\x01"
    default = item.default or NONE
    return text(item.name) + modifier + kind + compact(len(default)) + default + NO_DOCS


def _constant(registry: TypeRegistry, constant: Constant) -> bytes:
    value = compact(len(constant.value)) + constant.value
    return text(constant.name) + registry.encoded_id(constant.scale_type) + value + NO_DOCS


def _extrinsic(registry: TypeRegistry, extrinsic: ExtrinsicFormat, call: Enum) -> bytes:
    parameters = (
        ("Address", extrinsic.address),
        ("Call", call),
        ("Signature", extrinsic.signature),
        ("Extra", UNIT),
    )
    path = ("sp_runtime", "generic", "unchecked_extrinsic", "UncheckedExtrinsic")
    registry.register(Struct(path, (Field(None, BYTES),), parameters))
    kinds = (extrinsic.address, call, extrinsic.signature, UNIT)
    extensions = vector(
        text(extension.name)
        + registry.encoded_id(extension.extra)
        + registry.encoded_id(extension.additional_signed)
        for extension in extrinsic.extensions
    )
    return bytes([EXTRINSIC_VERSION]) + b"".join(map(registry.encoded_id, kinds)) + extensions


def _api(registry: TypeRegistry, api: RuntimeApi) -> bytes:
    methods = vector(
        text(method.name)
        + vector(text(name) + registry.encoded_id(scale_type) for name, scale_type in method.inputs)
        + registry.encoded_id(method.output)
        + NO_DOCS
        for method in api.methods
    )
    return text(api.name) + methods + NO_DOCS
