"""The registry numbers each shape once and describes it."""

from localnet.chain.shapes import Array, Compact, Registry, Sequence, Tuple, case, option, struct


def test_a_shape_used_twice_is_described_once() -> None:
    registry = Registry()
    first = registry.number(Sequence("u8"))
    assert registry.number(Tuple((Sequence("u8"), "u8"))) != first
    assert registry.number(Sequence("u8")) == first
    assert registry.encoded()[0] == 3 << 2


def test_primitives_and_composites_have_their_marks() -> None:
    bodies = {
        "u32": b"\x00\x00\x05\x05\x00",
        Array("u32", 4): b"\x00\x00\x03\x04\x00\x00\x00\x00\x00",
        Compact("u32"): b"\x00\x00\x06\x00\x00",
    }
    for shape, body in bodies.items():
        registry = Registry()
        registry.number("u32")
        number = registry.number(shape)
        assert (bytes([number << 2]) + body) in registry.encoded()


def test_fields_keep_their_order_and_names() -> None:
    kind = struct("a::b::Kind", second="u8", first="u16")
    assert kind.path == ("a", "b", "Kind")
    assert [field.name for field in kind.fields] == ["second", "first"]
    assert [field.name for field in case("One", 3, "u8", named="u16").fields] == [None, "named"]
    assert [one.name for one in option("u8").cases] == ["None", "Some"]
