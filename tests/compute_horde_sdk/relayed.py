"""A user's request as a facilitator relays it to validators."""

from typing import Any
from uuid import uuid4

from aiohttp import web

from compute_horde.protocol.job import JobRequested
from compute_horde.signing import RequestSignature
from compute_horde.uploads import MultiUpload
from compute_horde.volumes import MultiVolume


def signature_of(request: web.Request) -> RequestSignature:
    headers = request.headers
    return RequestSignature(
        signature_type=headers["X-CH-Signature-Type"],
        signatory=headers["X-CH-Signatory"],
        timestamp_ns=int(headers["X-CH-Timestamp-NS"]),
        signature=headers["X-CH-Signature"],
        signature_scope=headers["X-CH-Signature-Scope"],
    )


def relayed(body: dict[str, Any], signature: RequestSignature) -> JobRequested:
    """The job as a facilitator relays it, and so as the validator verifies it."""
    fields = {k: v for k, v in body.items() if k in JobRequested.model_fields}
    volumes, uploads = body.get("volumes"), body.get("uploads")
    return JobRequested(
        uuid=str(uuid4()),
        signature=signature,
        volume=MultiVolume(volumes=volumes) if volumes else None,
        output_upload=MultiUpload(uploads=uploads) if uploads else None,
        **fields,
    )
