"""The input and output volumes of a job, as a user specifies them."""

import base64
import io
import zipfile
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, model_validator

VOLUME_MOUNT = "/volume/"
OUTPUT_MOUNT = "/output/"


class InlineInputVolume(BaseModel):
    """A base64-encoded zip that is sent with the request and unpacked at the mount path."""

    contents: str

    @classmethod
    def from_file_contents(cls, filename: str, contents: bytes, compress: bool = False) -> Self:  # noqa: FBT001, FBT002
        """A volume with one file of that name."""
        packing = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", packing) as archive:
            archive.writestr(filename, contents)
        return cls(contents=base64.b64encode(packed.getvalue()).decode())


class HTTPInputVolume(BaseModel):
    """A file downloaded from a URL to the mount path."""

    url: str


class HuggingfaceInputVolume(BaseModel):
    """A snapshot of a Hugging Face repository, downloaded into the mount path."""

    repo_id: str
    repo_type: str | None = None
    revision: str | None = None
    allow_patterns: str | list[str] | None = None


InputVolume = InlineInputVolume | HuggingfaceInputVolume | HTTPInputVolume


class HTTPOutputVolume(BaseModel):
    """Uploads the file at the mount path to a URL when the job is done."""

    http_method: Literal["POST", "PUT"]
    url: str
    form_fields: Mapping[str, str] | None = None
    signed_headers: Mapping[str, str] | None = None

    @model_validator(mode="after")
    def _form_fields_need_a_form(self) -> Self:
        if self.form_fields and self.http_method == "PUT":
            raise ValueError("form_fields go with POST only; a PUT has no form")
        return self


OutputVolume = HTTPOutputVolume
