"""What a user asks for: a job as facilitators pass it on."""

import time
from typing import Any
from uuid import uuid4

from bittensor_core import Keypair

from compute_horde.protocol.job import JobRequested
from compute_horde.signing import sign_request
from compute_horde.vocabulary import SignatureScope
from tests.peers.keys import USER


def request(
    *, signer: Keypair | None = USER, timestamp_ns: int | None = None, **fields: Any
) -> JobRequested:
    """A small job, signed as users sign."""
    plain = JobRequested(
        **{
            "uuid": str(uuid4()),
            "executor_class": "always_on.test",
            "docker_image": "computehorde/busybox",
            "args": ["echo", "hi"],
            "env": {},
            "artifacts_dir": None,
            "download_time_limit": 5,
            "execution_time_limit": 10,
            "upload_time_limit": 5,
            "streaming_start_time_limit": 0,
        }
        | fields
    )
    if signer is None:
        return plain
    signature = sign_request(
        signer,
        plain.signed_text(),
        timestamp_ns=timestamp_ns or time.time_ns(),
        scope=SignatureScope.SIGNED_FIELDS,
    )
    return plain.model_copy(update={"signature": signature})
