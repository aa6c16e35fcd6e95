"""Buckets on a server of S3: objects, presigned URLs and their expiry."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from validator.config import Config
from validator.llm.buckets import Bucket, BucketError, expiry, open_buckets


@pytest.fixture
def bucket(llm_config: Config) -> Bucket:
    return open_buckets(llm_config.bucket_access).answers


def test_objects_are_stored_read_and_deleted(bucket: Bucket) -> None:
    bucket.put("a/1", b"content")
    assert bucket.get("a/1", 7) == b"content"
    with pytest.raises(BucketError, match="answers/a/1 has more than 6 bytes"):
        bucket.get("a/1", 6)
    bucket.delete(["a/1", "a/2"])
    with pytest.raises(BucketError, match="refused a/1"):
        bucket.get("a/1", 7)


def test_a_presigned_url_needs_no_keys_and_says_when_it_expires(bucket: Bucket) -> None:
    url = bucket.url_to_put("b", 60)
    assert httpx.put(url, content=b"theirs").is_success
    assert httpx.get(bucket.url_to_get("b", 60)).content == b"theirs"
    end = expiry(url)
    assert end is not None
    assert timedelta(seconds=50) < end - datetime.now(UTC) <= timedelta(seconds=60)


def test_urls_of_the_old_signature_expire_too(llm_config: Config) -> None:
    access = replace(llm_config.bucket_access, signature_version="s3")
    end = expiry(open_buckets(access).prompts.url_to_get("c", 60))
    assert end is not None
    assert timedelta(seconds=50) < end - datetime.now(UTC) <= timedelta(seconds=61)


@pytest.mark.parametrize("url", ["http://a/b", "http://a/b?Expires=x", "http://a?X-Amz-Expires=1"])
def test_a_url_may_not_say_when_it_expires(url: str) -> None:
    assert expiry(url) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"prompts": ""}, "set S3_BUCKET_NAME_PROMPTS and S3_BUCKET_NAME_ANSWERS"),
        ({"endpoint": "no url"}, r"the settings AWS_\* cannot be used"),
        ({"endpoint": "http://127.0.0.1:1"}, "check AWS_ENDPOINT_URL"),
        ({"answers": "unknown"}, "the bucket unknown refused x"),
    ],
)
def test_wrong_settings_are_named(
    llm_config: Config, changes: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("validator.llm.buckets.TRIES", 1)
    access = replace(llm_config.bucket_access, **changes)
    with pytest.raises(BucketError, match=problem):
        open_buckets(access).answers.get("x", 1)
