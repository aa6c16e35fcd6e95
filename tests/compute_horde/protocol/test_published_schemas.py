"""Our messages require and default what the published ones do."""

import pytest

from compute_horde import receipts, uploads, volumes
from compute_horde.protocol import capacity, handshake, job, status
from compute_horde.receipts import Receipt
from compute_horde.signing import RequestSignature
from tests.compute_horde.vectors import VECTORS

OURS = {
    "V2JobRequest": job.JobRequested,
    "V0JobCheated": job.CheatReported,
    "Response": handshake.Response,
    "JobStatusUpdate": status.StatusReported,
    "V0AuthenticationRequest": handshake.FacilitatorLogin,
    "V0MachineSpecsUpdate": capacity.SpecsReported,
    "V0InitialJobRequest": job.JobOffered,
    "V0JobRequest": job.JobPayload,
    "V0DeclineJobRequest": job.JobDeclined,
    "V0JobFailedRequest": job.JobFailed,
    "V0HordeFailedRequest": job.HordeFailed,
    "V0JobFinishedRequest": job.JobFinished,
    "V0StreamingJobReadyRequest": job.StreamingReady,
    "Receipt": Receipt,
}
PARTS = {
    "Error": handshake.Problem,
    "ExecutorTimingDetails": job.Timing,
    "HordeFailureDetails": status.HordeFailureDetails,
    "HuggingfaceVolume": volumes.HuggingfaceVolume,
    "InlineVolume": volumes.InlineVolume,
    "JobAcceptedReceiptPayload": receipts.JobAcceptedReceipt,
    "JobFailureDetails": status.FailureDetails,
    "JobFinishedReceiptPayload": receipts.JobFinishedReceipt,
    "JobRejectionDetails": status.RejectionDetails,
    "JobResultDetails": status.JobResult,
    "JobStartedReceiptPayload": receipts.JobStartedReceipt,
    "JobStatusMetadata": status.StatusMetadata,
    "MultiUpload": uploads.MultiUpload,
    "MultiVolume": volumes.MultiVolume,
    "Signature": RequestSignature,
    "SingleFilePostUpload": uploads.FilePost,
    "SingleFilePutUpload": uploads.FilePut,
    "SingleFileVolume": volumes.SingleFileVolume,
    "StreamingDetails": job.StreamingDetails,
    "StreamingServerDetails": status.StreamingServer,
    "ZipAndHttpPostUpload": uploads.ZipPost,
    "ZipAndHttpPutUpload": uploads.ZipPut,
    "ZipUrlVolume": volumes.ZipUrlVolume,
}
WHOLE = VECTORS["json_schemas"]
NESTED = {
    name: part
    for schema in WHOLE.values()
    for name, part in schema.get("$defs", {}).items()
    if "properties" in part and name not in WHOLE
}
PUBLISHED = WHOLE | NESTED
COMPARED = OURS | PARTS
# A published facilitator leaves null `details` out, so ours must not require them (protocol §4.7).
MAY_BE_ABSENT = {"V0JobCheated": {"details"}}
# Our own fields, left out when empty.
OPTIONAL = {
    "binding",
    "challenge",
    "extensions",
    "left_out",
    "proof",
    "raw_output",
    "streaming_proof",
    "truncated",
}
# Published schemas do not show the default of a mutable field.
HIDDEN_DEFAULTS = {
    "V0JobRequest": {"env"},
    "V0DeclineJobRequest": {"receipts"},
    "JobFinishedReceiptPayload": {"block_numbers"},
}


def test_every_published_schema_is_compared():
    assert OURS.keys() == WHOLE.keys()
    assert PARTS.keys() == NESTED.keys()


@pytest.mark.parametrize("name", sorted(COMPARED))
def test_the_same_keys_in_the_same_order(name):
    ours = [key for key in COMPARED[name].model_fields if key not in OPTIONAL]
    assert ours == list(PUBLISHED[name]["properties"])


@pytest.mark.parametrize("name", sorted(COMPARED))
def test_the_same_keys_are_required(name):
    required = {key for key, field in COMPARED[name].model_fields.items() if field.is_required()}
    published = set(PUBLISHED[name].get("required", []))
    assert required == published - MAY_BE_ABSENT.get(name, set())


@pytest.mark.parametrize("name", sorted(COMPARED))
def test_the_same_defaults(name):
    published = {
        key: field["default"]
        for key, field in PUBLISHED[name]["properties"].items()
        if "default" in field
    }
    ignored = HIDDEN_DEFAULTS.get(name, set()) | MAY_BE_ABSENT.get(name, set())
    ours = {
        key: field.default
        for key, field in COMPARED[name].model_fields.items()
        if not field.is_required() and key not in ignored and key not in OPTIONAL
    }
    assert ours == published
