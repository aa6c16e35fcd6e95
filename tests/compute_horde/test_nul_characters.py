"""A NUL is replaced by one character, so that positions in the text stay."""

from compute_horde.nul_characters import replace_nul


def test_each_nul_is_replaced_by_one_character():
    assert replace_nul("a\0\0b") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"
    assert replace_nul("ab") == "ab"
