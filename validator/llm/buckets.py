"""Buckets of prompts and answers: a server that speaks S3, by `boto3`; presigned URLs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import parse_qs, urlsplit

from compute_horde.errors import StorageError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

# So many objects are deleted by one request, as S3 allows.
DELETED_AT_ONCE = 1000
CONNECT_SECONDS, READ_SECONDS, TRIES = 5, 20, 5

P = ParamSpec("P")
T = TypeVar("T")


class BucketError(StorageError):
    """A bucket could not be used; the text names the bucket, the cause and what to check."""


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """How the buckets are reached; what is empty is found by `boto3` itself."""

    prompts: str
    answers: str
    access_key: str = ""
    secret_key: str = ""
    endpoint: str = ""
    region: str = ""
    signature_version: str = "s3v4"


class Bucket:
    """One bucket; all errors are `BucketError`."""

    def __init__(self, client: "S3Client", name: str) -> None:
        self._client = client
        self.name = name

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""
        self._call(self._client.put_object, Bucket=self.name, Key=key, Body=content)

    def get(self, key: str, max_bytes: int) -> bytes:
        """The content of an object; one that is larger is an error."""
        found = self._call(self._client.get_object, Bucket=self.name, Key=key)
        content: bytes = self._call(found["Body"].read, max_bytes + 1)
        if len(content) > max_bytes:
            raise BucketError(f"{self.name}/{key} has more than {max_bytes:,} bytes")
        return content

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that does not exist is no error."""
        left = list(keys)
        for first in range(0, len(left), DELETED_AT_ONCE):
            part = left[first : first + DELETED_AT_ONCE]
            self._call(
                self._client.delete_objects,
                Bucket=self.name,
                Delete={"Objects": [{"Key": key} for key in part], "Quiet": True},
            )

    def url_to_get(self, key: str, seconds: int) -> str:
        """A URL by which anybody can download an object for so many seconds."""
        return self._presigned("get_object", key, seconds)

    def url_to_put(self, key: str, seconds: int) -> str:
        """A URL by which anybody can store an object for so many seconds."""
        return self._presigned("put_object", key, seconds)

    def _presigned(self, operation: str, key: str, seconds: int) -> str:
        url: str = self._call(
            self._client.generate_presigned_url,
            operation,
            Params={"Bucket": self.name, "Key": key},
            ExpiresIn=seconds,
        )
        return url

    def _call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call(*args, **kwargs)
        except (BotoCoreError, ClientError, OSError) as exc:
            key = kwargs.get("Key", "")
            raise BucketError(
                f"the bucket {self.name} refused {key or 'a request'}: {str(exc)[:300]}; check "
                "AWS_ENDPOINT_URL, AWS_REGION, the AWS_* keys and the rights of their user"
            ) from exc


@dataclass(frozen=True, slots=True)
class Buckets:
    """The bucket of prompts and the bucket of answers."""

    prompts: Bucket
    answers: Bucket


def open_buckets(access: BucketAccess) -> Buckets:
    """The two buckets; nothing is sent yet.

    Raises:
        BucketError: their names or keys are not set.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    if not access.prompts or not access.answers:
        raise BucketError("set S3_BUCKET_NAME_PROMPTS and S3_BUCKET_NAME_ANSWERS")
    # Objects are named by path: endpoints of one's own rarely have a name for each bucket.
    style: Any = {"addressing_style": "path" if access.endpoint else "auto"}
    config = Config(
        signature_version=access.signature_version,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": TRIES},
        s3=style,
    )
    try:
        client = boto3.Session().client(
            "s3",
            aws_access_key_id=access.access_key or None,
            aws_secret_access_key=access.secret_key or None,
            endpoint_url=access.endpoint or None,
            region_name=access.region or None,
            config=config,
        )
    except (BotoCoreError, ValueError) as exc:
        raise BucketError(f"the settings AWS_* cannot be used: {exc}") from exc
    return Buckets(Bucket(client, access.prompts), Bucket(client, access.answers))


def expiry(url: str) -> datetime | None:
    """Until when a presigned URL is valid, None when it does not say."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    try:
        if "X-Amz-Expires" in query:
            signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            return signed + timedelta(seconds=int(query["X-Amz-Expires"]))
        return datetime.fromtimestamp(int(query["Expires"]), UTC)
    except (KeyError, ValueError, OverflowError):
        return None
