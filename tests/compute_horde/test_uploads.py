"""Uploads are written as published and name files inside the output directory."""

import pytest
from pydantic import TypeAdapter, ValidationError

from compute_horde.uploads import (
    MAX_UPLOADS,
    FilePost,
    FilePut,
    MultiUpload,
    Upload,
    ZipPost,
    ZipPut,
    each,
)
from tests.compute_horde.vectors import VECTORS, compact

ADAPTER = TypeAdapter(Upload)
FIELDS = {
    ZipPost: ["output_upload_type", "url", "form_fields"],
    ZipPut: ["output_upload_type", "url"],
    FilePost: ["output_upload_type", "url", "form_fields", "relative_path", "signed_headers"],
    FilePut: ["output_upload_type", "url", "relative_path", "signed_headers"],
    MultiUpload: ["output_upload_type", "uploads", "system_output"],
}
FILE = {"output_upload_type": "single_file_put", "url": "u", "relative_path": "f"}


@pytest.mark.parametrize("published", VECTORS["uploads"], ids=lambda u: u["output_upload_type"])
def test_a_published_upload_keeps_its_bytes(published):
    assert ADAPTER.dump_json(ADAPTER.validate_python(published)).decode() == compact(published)


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_fields_stand_in_the_order_that_signatures_cover(kind):
    assert list(kind.model_fields) == FIELDS[kind]


@pytest.mark.parametrize("path", ["f", "a/b.txt", "x" * 255, ".f", "a b", "..f"])
@pytest.mark.parametrize("kind", [FilePost, FilePut])
def test_a_file_of_the_output_may_be_uploaded(kind, path):
    assert kind(url="u", relative_path=path).relative_path == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/f",
        "a/",
        ".",
        "..",
        "../f",
        "a/../f",
        "a//f",
        "./f",
        "a\\f",
        "a\0",
        "x" * 256,
        "ż" * 128,
    ],
    ids=lambda path: ascii(path)[:20],
)
@pytest.mark.parametrize("kind", [FilePost, FilePut])
def test_another_path_is_refused(kind, path):
    with pytest.raises(ValidationError):
        kind(url="u", relative_path=path)


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"output_upload_type": "fax", "url": "u"},
        {"output_upload_type": "zip_and_http_put"},
        {
            "output_upload_type": "multi_upload",
            "uploads": [{"output_upload_type": "zip_and_http_put", "url": "u"}],
        },
        {"output_upload_type": "multi_upload", "uploads": [FILE] * (MAX_UPLOADS + 1)},
    ],
    ids=["nothing", "unknown", "no url", "zip among files", "too many"],
)
def test_what_is_no_upload_is_refused(sent):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(sent)


def test_each_single_upload_is_told_in_order():
    one, two = FilePut(url="1", relative_path="a"), FilePost(url="2", relative_path="b")
    assert each(None) == []
    assert each(ZipPut(url="z")) == [ZipPut(url="z")]
    assert each(MultiUpload(uploads=[one, two], system_output=ZipPut(url="z"))) == [one, two]
