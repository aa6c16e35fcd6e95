"""The registry has every type once, with its id and description."""

from localnet.chain.scale_types import (
    Array,
    Compact,
    Sequence,
    Tuple,
    TypeRegistry,
    option,
    struct,
    variant,
)


def test_a_type_used_twice_is_described_once() -> None:
    registry = TypeRegistry()
    first = registry.register(Sequence("u8"))
    assert registry.register(Tuple((Sequence("u8"), "u8"))) != first
    assert registry.register(Sequence("u8")) == first
    assert registry.encoded()[0] == 3 << 2


def test_primitives_and_composites_have_their_encoding() -> None:
    bodies = {
        "u32": b"\x00\x00\x05\x05\x00",
        Array("u32", 4): b"\x00\x00\x03\x04\x00\x00\x00\x00\x00",
        Compact("u32"): b"\x00\x00\x06\x00\x00",
    }
    for scale_type, body in bodies.items():
        registry = TypeRegistry()
        registry.register("u32")
        number = registry.register(scale_type)
        assert (bytes([number << 2]) + body) in registry.encoded()


def test_fields_keep_their_order_and_names() -> None:
    kind = struct("a::b::Kind", second="u8", first="u16")
    assert kind.path == ("a", "b", "Kind")
    assert [field.name for field in kind.fields] == ["second", "first"]
    assert [field.name for field in variant("One", 3, "u8", named="u16").fields] == [None, "named"]
    assert [one.name for one in option("u8").variants] == ["None", "Some"]
