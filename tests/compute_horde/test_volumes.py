"""Volumes are written as published and may not lead out of the job's directory."""

import pytest
from pydantic import TypeAdapter, ValidationError

from compute_horde.volumes import (
    MAX_VOLUMES,
    HuggingfaceVolume,
    InlineVolume,
    MultiVolume,
    SingleFileVolume,
    Volume,
    ZipUrlVolume,
    first_unsafe_path,
    path_problem,
    simple_volumes,
)
from tests.compute_horde.vectors import VECTORS, compact

ADAPTER = TypeAdapter(Volume)
FIELDS = {
    InlineVolume: ["volume_type", "contents", "relative_path"],
    ZipUrlVolume: ["volume_type", "contents", "relative_path"],
    SingleFileVolume: ["volume_type", "url", "relative_path"],
    HuggingfaceVolume: [
        "volume_type",
        "repo_id",
        "repo_type",
        "revision",
        "relative_path",
        "allow_patterns",
        "token",
    ],
    MultiVolume: ["volume_type", "volumes"],
}
SAFE = [None, "", "a", "a/b", "a/b/", "...", "a..b", ".hidden", "ż", "x" * 255, "a b", "~"]
UNSAFE = [
    "/",
    "/etc/passwd",
    "..",
    "../x",
    "a/../b",
    "a/..",
    ".",
    "./a",
    "a/./b",
    "a//b",
    "a//",
    "//a",
    "a\\b",
    "..\\x",
    "a\0b",
    "x" * 256,
    "a/" + "ż" * 128,
]


@pytest.mark.parametrize("published", VECTORS["volumes"], ids=lambda v: v["volume_type"])
def test_a_published_volume_keeps_its_bytes(published):
    assert ADAPTER.dump_json(ADAPTER.validate_python(published)).decode() == compact(published)


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_fields_stand_in_the_order_that_signatures_cover(kind):
    assert list(kind.model_fields) == FIELDS[kind]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"volume_type": "tape"},
        {"volume_type": "single_file", "url": "u"},
        {
            "volume_type": "multi_volume",
            "volumes": [{"volume_type": "multi_volume", "volumes": []}],
        },
        {
            "volume_type": "multi_volume",
            "volumes": [{"volume_type": "inline", "contents": ""}] * (MAX_VOLUMES + 1),
        },
    ],
    ids=["nothing", "unknown", "no path", "nested", "too many"],
)
def test_what_is_no_volume_is_refused(sent):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(sent)


@pytest.mark.parametrize("path", SAFE, ids=ascii)
def test_a_path_below_the_directory_is_safe(path):
    assert path_problem(path) is None


@pytest.mark.parametrize("path", UNSAFE, ids=lambda path: ascii(path)[:20])
def test_a_path_that_could_lead_elsewhere_is_tainted_and_the_reason_told(path):
    tainted = path_problem(path)
    assert tainted.path == path
    assert tainted.reason


def test_the_first_tainted_path_of_many_volumes_is_told():
    good, bad = InlineVolume(contents=""), SingleFileVolume(url="u", relative_path="../x")
    worse = ZipUrlVolume(contents="u", relative_path="/")
    assert first_unsafe_path(None) is None
    assert first_unsafe_path(good) is None
    assert first_unsafe_path(bad).path == "../x"
    assert first_unsafe_path(MultiVolume(volumes=[good, bad, worse])).path == "../x"


def test_each_simple_volume_is_told_in_order():
    one, two = InlineVolume(contents="1"), InlineVolume(contents="2")
    assert simple_volumes(None) == []
    assert simple_volumes(one) == [one]
    assert simple_volumes(MultiVolume(volumes=[one, two])) == [one, two]
