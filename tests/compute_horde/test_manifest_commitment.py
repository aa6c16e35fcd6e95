"""Manifests go into the chain's commitment in the published form and come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde import manifest_commitment
from compute_horde.errors import ConfigurationError
from compute_horde.hardware import ExecutorClass
from tests.compute_horde.vectors import VECTORS

VECTOR = VECTORS["manifest_commitment"]
MANIFEST = {ExecutorClass(kind): count for kind, count in VECTOR["manifest"].items()}
manifests = st.dictionaries(st.sampled_from(ExecutorClass), st.integers(0, 10**6))


def test_the_published_forms():
    assert manifest_commitment.payload(MANIFEST) == VECTOR["payload"]
    assert manifest_commitment.committed("otherdata", MANIFEST) == VECTOR["merged_into_other"]
    assert manifest_commitment.committed("", MANIFEST) == VECTOR["merged_into_empty"]
    assert manifest_commitment.committed("", {}) == VECTOR["empty_manifest"]


@given(manifests, manifests)
def test_a_manifest_is_read_as_it_was_written_and_the_newest_replaces_it(first, second):
    once = manifest_commitment.committed("a<b", first)
    assert manifest_commitment.read(once) == first
    twice = manifest_commitment.committed(once, second)
    assert manifest_commitment.read(twice) == second
    assert twice == manifest_commitment.committed("a<b", second)


def test_the_manifest_moves_behind_what_others_keep_there():
    assert (
        manifest_commitment.committed("<M:T9>key=1<M:C3>", {ExecutorClass.always_on__test: 2})
        == "key=1<M:T2>"
    )


@pytest.mark.parametrize(
    ("text", "manifest"),
    [
        ("", None),
        ("other", None),
        ("<M:", None),
        ("<M:>", {}),
        ("<M:T>", {}),
        ("<M:T2><M:T3>", {"always_on.test": 2}),
        ("<M:X1;T2;;C;Lx;S-1;A 4;T1.5>", {"always_on.test": 2}),
        ("<M:T\u0663>", {}),
        ("<M:T" + "9" * 5000 + ">", {}),
    ],
)
def test_what_cannot_be_read_is_skipped(text, manifest):
    assert manifest_commitment.read(text) == manifest


@given(st.text(max_size=200))
def test_no_commitment_breaks_the_reader(text):
    for whole in (text, f"<M:{text}>"):
        assert all(count >= 0 for count in (manifest_commitment.read(whole) or {}).values())


def test_a_commitment_that_the_chain_would_cut_is_refused():
    manifest_commitment.committed("ł" * 62, {})
    with pytest.raises(ConfigurationError, match="128 bytes"):
        manifest_commitment.committed("ł" * 62 + "x", {})
