"""RuntimeMetadata version 15, put together from our own description of pallets and APIs."""

from collections.abc import Callable
from dataclasses import dataclass

from localnet.chain.scale import compact, text, vector
from localnet.chain.shapes import (
    BYTES,
    NO_DOCS,
    UNIT,
    Case,
    Enum,
    Field,
    Registry,
    Shape,
    Struct,
    Tuple,
)

MAGIC = b"meta\x0f"
EXTRINSIC_VERSION = 4
HASHERS = {"Blake2_128Concat": 2, "Twox64Concat": 5, "Identity": 6}
NOTHING = b"\x00"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a storage map and how it is hashed into the storage key."""

    hasher: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Item:
    """One storage item; without a default, absence reads as nothing."""

    name: str
    value: Shape
    keys: tuple[Key, ...] = ()
    default: bytes | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """A value fixed in the runtime."""

    name: str
    shape: Shape
    value: bytes


@dataclass(frozen=True, slots=True)
class Pallet:
    """One module of the runtime."""

    name: str
    index: int
    storage: tuple[Item, ...] = ()
    calls: tuple[Case, ...] = ()
    events: tuple[Case, ...] = ()
    errors: tuple[Case, ...] = ()
    constants: tuple[Constant, ...] = ()

    def enum(self, kind: str, cases: tuple[Case, ...]) -> Enum:
        """The pallet's own enum of calls, events or errors."""
        return Enum((f"pallet_{self.name.lower()}", "pallet", kind), cases)


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a runtime API."""

    name: str
    output: Shape
    inputs: tuple[tuple[str, Shape], ...] = ()


@dataclass(frozen=True, slots=True)
class Api:
    """A runtime API: read-only questions a client may ask by `state_call`."""

    name: str
    methods: tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class SignedExtension:
    """A field every signed extrinsic carries, and what is signed without being sent."""

    name: str
    carried: Shape
    implied: Shape


@dataclass(frozen=True, slots=True)
class Extrinsic:
    """What a signed extrinsic is made of."""

    address: Shape
    signature: Shape
    extensions: tuple[SignedExtension, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """A whole runtime. `event` is the outer event enum, which storage may mention."""

    pallets: tuple[Pallet, ...]
    apis: tuple[Api, ...]
    extrinsic: Extrinsic
    event: Enum


def outer_enum(name: str, kind: str, pallets: tuple[Pallet, ...]) -> Enum:
    """The runtime-wide enum that holds every pallet's calls, events or errors."""
    attribute = f"{kind.lower()}s"
    cases = []
    for pallet in pallets:
        own: tuple[Case, ...] = getattr(pallet, attribute)
        if own:
            inner = Field(None, pallet.enum(kind, own))
            cases.append(Case(pallet.name, pallet.index, (inner,)))
    return Enum(("node_subtensor_runtime", name), tuple(cases))


def metadata(description: Description) -> bytes:
    """The bytes a node answers to `Metadata_metadata_at_version(15)`."""
    registry = Registry()
    call = outer_enum("RuntimeCall", "Call", description.pallets)
    error = outer_enum("RuntimeError", "Error", description.pallets)
    body = vector(_pallet(registry, pallet) for pallet in description.pallets)
    body += _extrinsic(registry, description.extrinsic, call)
    body += registry.reference(UNIT)
    body += vector(_api(registry, api) for api in description.apis)
    body += b"".join(map(registry.reference, (call, description.event, error)))
    body += compact(0)
    return MAGIC + registry.encoded() + body


def _pallet(registry: Registry, pallet: Pallet) -> bytes:
    def optional(kind: str, cases: tuple[Case, ...]) -> bytes:
        return b"\x01" + registry.reference(pallet.enum(kind, cases)) if cases else NOTHING

    storage = NOTHING
    if pallet.storage:
        items = vector(_item(registry.reference, item) for item in pallet.storage)
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


def _item(reference: Callable[[Shape], bytes], item: Item) -> bytes:
    if item.keys:
        shapes = tuple(key.shape for key in item.keys)
        hashers = vector(bytes([HASHERS[key.hasher]]) for key in item.keys)
        key = shapes[0] if len(shapes) == 1 else Tuple(shapes)
        kind = b"\x01" + hashers + reference(key) + reference(item.value)
    else:
        kind = b"\x00" + reference(item.value)
    modifier = b"\x00" if item.default is None else b"\x01"
    default = item.default or NOTHING
    return text(item.name) + modifier + kind + compact(len(default)) + default + NO_DOCS


def _constant(registry: Registry, constant: Constant) -> bytes:
    value = compact(len(constant.value)) + constant.value
    return text(constant.name) + registry.reference(constant.shape) + value + NO_DOCS


def _extrinsic(registry: Registry, extrinsic: Extrinsic, call: Enum) -> bytes:
    parameters = (
        ("Address", extrinsic.address),
        ("Call", call),
        ("Signature", extrinsic.signature),
        ("Extra", UNIT),
    )
    path = ("sp_runtime", "generic", "unchecked_extrinsic", "UncheckedExtrinsic")
    registry.number(Struct(path, (Field(None, BYTES),), parameters))
    kinds = (extrinsic.address, call, extrinsic.signature, UNIT)
    extensions = vector(
        text(one.name) + registry.reference(one.carried) + registry.reference(one.implied)
        for one in extrinsic.extensions
    )
    return bytes([EXTRINSIC_VERSION]) + b"".join(map(registry.reference, kinds)) + extensions


def _api(registry: Registry, api: Api) -> bytes:
    methods = vector(
        text(method.name)
        + vector(text(name) + registry.reference(shape) for name, shape in method.inputs)
        + registry.reference(method.output)
        + NO_DOCS
        for method in api.methods
    )
    return text(api.name) + methods + NO_DOCS
