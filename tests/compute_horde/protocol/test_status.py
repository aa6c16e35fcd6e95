"""A status report keeps what newer peers add and reads unknown words as unknown."""

import json

from compute_horde.protocol import links
from compute_horde.vocabulary import HordeReason, JobState, Party
from tests.compute_horde.vectors import JOB, VECTORS, compact


def reported(**sent: object):
    frame = {"message_type": "V0JobStatusUpdate", "uuid": JOB} | sent
    return links.VALIDATOR_TO_FACILITATOR.decode(compact(frame))


def test_published_reports_cover_every_way_a_job_ends():
    ends = {example["status"] for example in VECTORS["messages"]["JobStatusUpdate"]}
    assert {"completed", "rejected", "failed", "horde_failed"} <= ends


def test_further_keys_of_the_metadata_and_the_result_are_kept():
    result = {"docker_process_stdout": "", "docker_process_stderr": "", "later": 1}
    received = json.loads(
        reported(status="completed", metadata={"miner_response": result, "x": [2]}).encode()
    )
    assert received["metadata"]["miner_response"]["later"] == 1
    assert received["metadata"]["x"] == [2]


def test_a_word_of_a_newer_peer_reads_as_unknown():
    details = {"reported_by": "oracle", "reason": "eclipse", "message": "dark"}
    received = reported(status="sleeping", metadata={"horde_failure_details": details})
    assert received.status is JobState.UNKNOWN
    blamed = received.metadata.horde_failure_details
    assert (blamed.reported_by, blamed.reason) == (Party.UNKNOWN, HordeReason.UNKNOWN)
