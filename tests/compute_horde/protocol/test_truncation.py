"""What is missing from a result is told in optional keys, only where there is something to tell."""

import json

import pytest

from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import JobFailed, JobFinished
from compute_horde.protocol.left_out import LeftOut
from compute_horde.protocol.status import FailureDetails, JobResult

JOB = "00000000-0000-0000-0000-000000000001"
PRINTED = {"docker_process_stdout": "", "docker_process_stderr": ""}
BIG = LeftOut(name="/artifacts/big", size=5, why="too large")
FAILED = {"reason": "unknown", "stage": "unknown", "message": ""}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (JobFinished, PRINTED | {"job_uuid": JOB}),
        (JobFailed, {"job_uuid": JOB}),
        (JobCancelled, {"job_uuid": JOB, "reported_by": "executor"}),
        (JobResult, PRINTED),
        (FailureDetails, FAILED),
    ],
)
def test_the_keys_are_on_the_wire_only_where_there_is_something_to_say(kind, fields):
    plain = kind(**fields).model_dump(mode="json")
    assert plain.keys().isdisjoint({"left_out", "truncated", "raw_output"})
    output = {"truncated": {"stdout": 7}, "raw_output": {"stderr": "/w=="}}
    if "left_out" in kind.model_fields:
        output["left_out"] = [BIG.model_dump()]
    whole = kind(**fields, **output).model_dump(mode="json")
    assert whole == plain | output
    assert kind.model_validate_json(json.dumps(whole)).model_dump(mode="json") == whole
