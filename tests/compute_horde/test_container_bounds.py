"""Limits on what is passed to an engine, in bytes and entries, alone and together."""

import pytest

from compute_horde import container_bounds as bounds
from compute_horde.container_bounds import excess


def test_ordinary_jobs_are_within_the_bounds():
    assert excess([], {}) is None
    assert excess(["python", "-c", "x" * 100_000], {"TOKEN": "y" * 100_000}, "/artifacts") is None
    assert excess([str(n) for n in range(10_000)], {f"V{n}": "1" for n in range(4096)}) is None


@pytest.mark.parametrize(
    ("args", "env", "folder", "why"),
    [
        (["x" * 131_072], {}, None, "an entry of args is longer than 131071 bytes"),
        (["ü" * 65_536], {}, None, "an entry of args is longer than 131071 bytes"),
        ([""] * 10_001, {}, None, "args has more than 10000 entries"),
        ([], {"A": "x" * 131_070}, None, "an entry of env is longer than 131071 bytes"),
        ([], {"A" * 131_072: ""}, None, "an entry of env is longer than 131071 bytes"),
        ([], {"": "x"}, None, "a name in env is empty or holds `=` or a NUL"),
        ([], {"=": "x"}, None, "a name in env is empty or holds `=` or a NUL"),
        ([], {"LD_PRELOAD=/x.so ": "x"}, None, "a name in env is empty or holds `=` or a NUL"),
        ([], {"A\0B": "x"}, None, "a name in env is empty or holds `=` or a NUL"),
        ([], {str(n): "" for n in range(4097)}, None, "env has more than 4096 entries"),
        ([], {}, "/x" * 1025, "artifacts_dir is longer than 2048 bytes"),
        ([], {}, "/" + "x" * 256, "a path has a part of more than 255 bytes"),
        ([], {}, "/x" * 128, "a path has more than 128 parts"),
        (["x" * 100_000] * 6, {str(n): "x" * 100_000 for n in range(5)}, None, "together"),
    ],
)
def test_what_is_too_long_too_many_or_too_much_together_is_named(args, env, folder, why):
    assert why in (excess(args, env, folder) or "")


def test_half_a_surrogate_pair_is_counted_and_not_tripped_over():
    assert excess(["\ud800"], {"A": "\ud800"}) is None
    assert bounds.utf8_bytes("\ud800") == 3
