"""SCALE types, and the type registry of the metadata, as in Substrate's scale-info."""

from dataclasses import dataclass
from typing import TypeAlias

from localnet.chain.scale import compact, text, vector

NO_DOCS = compact(0)
PRIMITIVE_NAMES = "bool char str u8 u16 u32 u64 u128 u256 i8 i16 i32 i64 i128 i256"
PRIMITIVES = {name: number for number, name in enumerate(PRIMITIVE_NAMES.split())}


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence of any length."""

    item: "ScaleType"


@dataclass(frozen=True, slots=True)
class Array:
    """An array of fixed length."""

    item: "ScaleType"
    length: int


@dataclass(frozen=True, slots=True)
class Tuple:
    """A tuple; the empty one is the unit type."""

    items: "tuple[ScaleType, ...]" = ()


@dataclass(frozen=True, slots=True)
class Compact:
    """A number in compact encoding."""

    item: "ScaleType"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct or of an enum's variant; `name` is None for a positional one."""

    name: str | None
    scale_type: "ScaleType"


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct; `path` is the Rust path of the type."""

    path: tuple[str, ...]
    fields: tuple[Field, ...]
    parameters: "tuple[tuple[str, ScaleType], ...]" = ()


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of an enum, such as a call, an event or an error of a pallet."""

    name: str
    index: int
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum; `path` is the Rust path of the type."""

    path: tuple[str, ...]
    variants: tuple[Variant, ...]
    parameters: "tuple[tuple[str, ScaleType], ...]" = ()


ScaleType: TypeAlias = str | Sequence | Array | Tuple | Compact | Struct | Enum

UNIT = Tuple()
BYTES = Sequence("u8")


def option(inner: ScaleType) -> Enum:
    """An `Option` of `inner`."""
    variants = (Variant("None", 0), Variant("Some", 1, (Field(None, inner),)))
    return Enum(("Option",), variants, (("T", inner),))


def wrapper(path: str, inner: ScaleType) -> Struct:
    """A named type around one value, such as `NetUid` around `u16`."""
    return Struct(tuple(path.split("::")), (Field(None, inner),))


def struct(path: str, **fields: ScaleType) -> Struct:
    """A struct whose fields are the keyword arguments, in their order."""
    return Struct(
        tuple(path.split("::")),
        tuple(Field(name, scale_type) for name, scale_type in fields.items()),
    )


def variant(name: str, index: int, *unnamed: ScaleType, **named: ScaleType) -> Variant:
    """A variant whose fields are the further arguments, in their order."""
    fields = [Field(None, scale_type) for scale_type in unnamed]
    fields += [Field(field, scale_type) for field, scale_type in named.items()]
    return Variant(name, index, tuple(fields))


class TypeRegistry:
    """The registry: every type once, with ids in the order of registration."""

    def __init__(self) -> None:
        self._ids: dict[ScaleType, int] = {}
        self._bodies: list[bytes] = []

    def register(self, scale_type: ScaleType) -> int:
        """The id of a type; a new type is registered with all types that it contains."""
        if scale_type not in self._ids:
            self._ids[scale_type] = number = len(self._bodies)
            self._bodies.append(b"")
            self._bodies[number] = self._body(scale_type)
        return self._ids[scale_type]

    def encoded_id(self, scale_type: ScaleType) -> bytes:
        """The id of a type, encoded as a reference to it."""
        return compact(self.register(scale_type))

    def encoded(self) -> bytes:
        """The registry as part of the metadata."""
        return vector(compact(number) + body for number, body in enumerate(self._bodies))

    def _body(self, scale_type: ScaleType) -> bytes:
        path = scale_type.path if isinstance(scale_type, Struct | Enum) else ()
        parameters = scale_type.parameters if isinstance(scale_type, Struct | Enum) else ()
        generics = vector(text(name) + b"\x01" + self.encoded_id(kind) for name, kind in parameters)
        return vector(map(text, path)) + generics + self._definition(scale_type) + NO_DOCS

    def _definition(self, scale_type: ScaleType) -> bytes:
        match scale_type:
            case Struct(fields=fields):
                return b"\x00" + self._fields(fields)
            case Enum(variants=variants):
                return b"\x01" + vector(map(self._variant, variants))
            case Sequence(item=item):
                return b"\x02" + self.encoded_id(item)
            case Array(item=item, length=length):
                return b"\x03" + length.to_bytes(4, "little") + self.encoded_id(item)
            case Tuple(items=items):
                return b"\x04" + vector(map(self.encoded_id, items))
            case Compact(item=item):
                return b"\x06" + self.encoded_id(item)
            case str(name):
                return b"\x05" + bytes([PRIMITIVES[name]])

    def _fields(self, fields: tuple[Field, ...]) -> bytes:
        return vector(
            (b"\x00" if field.name is None else b"\x01" + text(field.name))
            + self.encoded_id(field.scale_type)
            + b"\x00"
            + NO_DOCS
            for field in fields
        )

    def _variant(self, one: Variant) -> bytes:
        return text(one.name) + self._fields(one.fields) + bytes([one.index]) + NO_DOCS
