"""Uploads of a job's output; signatures cover the order of the fields."""

from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from compute_horde.volumes import path_problem

MAX_UPLOADS = 1000


def _checked(path: str) -> str:
    if not path or path.endswith("/"):
        raise ValueError("an upload path names a file")
    if bad := path_problem(path):
        raise ValueError(f"{bad.path!r} {bad.reason}")
    return path


UploadPath = Annotated[str, AfterValidator(_checked)]


class _Upload(BaseModel):
    model_config = ConfigDict(frozen=True)


class ZipPost(_Upload):
    """All of /output as a zip in a multipart POST."""

    output_upload_type: Literal["zip_and_http_post"] = "zip_and_http_post"
    url: str
    form_fields: dict[str, str] | None = None


class ZipPut(_Upload):
    """All of /output as a zip in a PUT."""

    output_upload_type: Literal["zip_and_http_put"] = "zip_and_http_put"
    url: str


class FilePost(_Upload):
    """One file of /output in a multipart POST."""

    output_upload_type: Literal["single_file_post"] = "single_file_post"
    url: str
    form_fields: dict[str, str] | None = None
    relative_path: UploadPath
    signed_headers: dict[str, str] | None = None


class FilePut(_Upload):
    """One file of /output in a PUT."""

    output_upload_type: Literal["single_file_put"] = "single_file_put"
    url: str
    relative_path: UploadPath
    signed_headers: dict[str, str] | None = None


FileUpload = Annotated[FilePost | FilePut, Field(discriminator="output_upload_type")]
ZipUpload = Annotated[ZipPost | ZipPut, Field(discriminator="output_upload_type")]


class MultiUpload(_Upload):
    """Several files, all at once, and optionally a zip of the rest."""

    output_upload_type: Literal["multi_upload"] = "multi_upload"
    uploads: list[FileUpload] = Field(max_length=MAX_UPLOADS)
    system_output: ZipUpload | None = None


Upload = Annotated[
    ZipPost | ZipPut | FilePost | FilePut | MultiUpload,
    Field(discriminator="output_upload_type"),
]


_ANY: TypeAdapter[Any] = TypeAdapter(Upload)


def of(members: list[Any]) -> Upload | None:
    """The upload with the members in a job's signed text, in its canonical form."""
    match members:
        case []:
            return None
        case [one]:
            return cast("Upload", _ANY.validate_python(one))
        case _:
            return MultiUpload(uploads=members)


def canonical(upload: Upload | None) -> Upload | None:
    """The same upload in its canonical form: equal signed texts give equal objects."""
    if isinstance(upload, MultiUpload) and len(upload.uploads) < 2:
        plain = MultiUpload(uploads=upload.uploads)
        return next(iter(upload.uploads), None) if upload == plain else upload
    return upload


def each(upload: Upload | None) -> list[FilePost | FilePut | ZipPost | ZipPut]:
    """The single uploads in `upload`, in order, without a multi-upload's zip."""
    match upload:
        case None:
            return []
        case MultiUpload():
            return list(upload.uploads)
        case _:
            return [upload]
