"""A server of S3 with the buckets of prompts and answers."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from moto.server import ThreadedMotoServer

BUCKETS = ("prompts", "answers")
# The environment of a validator that uses it, but for its address.
ENVIRONMENT = {
    "S3_BUCKET_NAME_PROMPTS": "prompts",
    "S3_BUCKET_NAME_ANSWERS": "answers",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
}


@contextmanager
def running() -> Iterator[str]:
    """Its address."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        for name in BUCKETS:
            client.create_bucket(Bucket=name)
        yield f"http://{host}:{port}"
    finally:
        server.stop()
