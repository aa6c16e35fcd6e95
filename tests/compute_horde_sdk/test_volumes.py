"""Volumes as users write them."""

import base64
import io
import zipfile

import pytest

from compute_horde_sdk import v1
from compute_horde_sdk.volumes import (
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
)


@pytest.mark.parametrize("compress", [False, True])
def test_one_file_s_contents_make_a_volume(compress):
    volume = InlineInputVolume.from_file_contents("a.txt", b"x" * 1000, compress)
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(volume.contents)))
    assert {name: archive.read(name) for name in archive.namelist()} == {"a.txt": b"x" * 1000}
    assert (len(volume.contents) < 1000) is compress


def test_optional_fields_default_to_none():
    volume = HuggingfaceInputVolume(repo_id="o/m")
    assert (volume.repo_type, volume.revision, volume.allow_patterns) == (None, None, None)
    upload = HTTPOutputVolume(http_method="PUT", url="u")
    assert (upload.form_fields, upload.signed_headers) == (None, None)
    assert v1.OutputVolume is HTTPOutputVolume
    assert isinstance(HTTPInputVolume(url="u"), v1.InputVolume)


def test_form_fields_need_a_form():
    with pytest.raises(ValueError, match="POST only"):
        HTTPOutputVolume(http_method="PUT", url="u", form_fields={"a": "b"})
