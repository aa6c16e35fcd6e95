"""Shapes of SCALE values, and the registry that numbers them in the metadata."""

from dataclasses import dataclass
from typing import TypeAlias

from localnet.chain.scale import compact, text, vector

NO_DOCS = compact(0)
PRIMITIVE_NAMES = "bool char str u8 u16 u32 u64 u128 u256 i8 i16 i32 i64 i128 i256"
PRIMITIVES = {name: number for number, name in enumerate(PRIMITIVE_NAMES.split())}


@dataclass(frozen=True, slots=True)
class Sequence:
    """Any number of one thing."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Array:
    """A fixed number of one thing."""

    item: "Shape"
    length: int


@dataclass(frozen=True, slots=True)
class Tuple:
    """Several things side by side; the empty one is the unit."""

    items: "tuple[Shape, ...]" = ()


@dataclass(frozen=True, slots=True)
class Compact:
    """A number in the compact form."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a struct or of one case of an enum."""

    name: str | None
    shape: "Shape"


@dataclass(frozen=True, slots=True)
class Struct:
    """Named parts; `path` is where the runtime's source keeps the type."""

    path: tuple[str, ...]
    fields: tuple[Field, ...]
    parameters: "tuple[tuple[str, Shape], ...]" = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One case of an enum: also a call, an event or an error of a pallet."""

    name: str
    index: int
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Enum:
    """One of several cases."""

    path: tuple[str, ...]
    cases: tuple[Case, ...]
    parameters: "tuple[tuple[str, Shape], ...]" = ()


Shape: TypeAlias = str | Sequence | Array | Tuple | Compact | Struct | Enum

UNIT = Tuple()
BYTES = Sequence("u8")


def option(inner: Shape) -> Enum:
    """Nothing, or `inner`."""
    cases = (Case("None", 0), Case("Some", 1, (Field(None, inner),)))
    return Enum(("Option",), cases, (("T", inner),))


def wrapper(path: str, inner: Shape) -> Struct:
    """A named type around one value, such as `NetUid` around `u16`."""
    return Struct(tuple(path.split("::")), (Field(None, inner),))


def struct(path: str, **fields: Shape) -> Struct:
    """A struct from keyword arguments, in their order."""
    return Struct(
        tuple(path.split("::")), tuple(Field(name, shape) for name, shape in fields.items())
    )


def case(name: str, index: int, *unnamed: Shape, **named: Shape) -> Case:
    """A case whose fields are positional or named, in their order."""
    fields = [Field(None, shape) for shape in unnamed]
    fields += [Field(field, shape) for field, shape in named.items()]
    return Case(name, index, tuple(fields))


class Registry:
    """Every shape once, numbered in the order in which they are first met."""

    def __init__(self) -> None:
        self._numbers: dict[Shape, int] = {}
        self._bodies: list[bytes] = []

    def number(self, shape: Shape) -> int:
        """The shape's number; registers it and all it is made of when new."""
        if shape not in self._numbers:
            self._numbers[shape] = number = len(self._bodies)
            self._bodies.append(b"")
            self._bodies[number] = self._body(shape)
        return self._numbers[shape]

    def reference(self, shape: Shape) -> bytes:
        """The number as it is written wherever the shape is used."""
        return compact(self.number(shape))

    def encoded(self) -> bytes:
        """The whole registry, as metadata carries it."""
        return vector(compact(number) + body for number, body in enumerate(self._bodies))

    def _body(self, shape: Shape) -> bytes:
        path = shape.path if isinstance(shape, Struct | Enum) else ()
        parameters = shape.parameters if isinstance(shape, Struct | Enum) else ()
        generics = vector(text(name) + b"\x01" + self.reference(kind) for name, kind in parameters)
        return vector(map(text, path)) + generics + self._definition(shape) + NO_DOCS

    def _definition(self, shape: Shape) -> bytes:
        match shape:
            case Struct(fields=fields):
                return b"\x00" + self._fields(fields)
            case Enum(cases=cases):
                return b"\x01" + vector(map(self._case, cases))
            case Sequence(item=item):
                return b"\x02" + self.reference(item)
            case Array(item=item, length=length):
                return b"\x03" + length.to_bytes(4, "little") + self.reference(item)
            case Tuple(items=items):
                return b"\x04" + vector(map(self.reference, items))
            case Compact(item=item):
                return b"\x06" + self.reference(item)
            case str(name):
                return b"\x05" + bytes([PRIMITIVES[name]])

    def _fields(self, fields: tuple[Field, ...]) -> bytes:
        return vector(
            (b"\x00" if field.name is None else b"\x01" + text(field.name))
            + self.reference(field.shape)
            + b"\x00"
            + NO_DOCS
            for field in fields
        )

    def _case(self, one: Case) -> bytes:
        return text(one.name) + self._fields(one.fields) + bytes([one.index]) + NO_DOCS
