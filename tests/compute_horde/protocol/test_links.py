"""Every published example passes its links unchanged, and nothing else passes."""

import json
from pathlib import Path
from typing import get_args

import pytest

from compute_horde.errors import ProtocolError
from compute_horde.protocol import legacy, links
from compute_horde.protocol.message import Link, Message
from tests.compute_horde.vectors import VECTORS, compact

VF, FV = "validator -> facilitator", "facilitator -> validator"
VM, MV = "validator -> miner", "miner -> validator"
ME, EM = "miner -> executor", "executor -> miner"

CROSSES = {
    "GenericError": {VM, MV, ME, EM},
    "ValidatorAuthForMiner": {VM},
    "UnauthorizedError": {MV},
    "V0ExecutorManifestRequest": {MV},
    "V0MainHotkeyMessage": {VM, MV},
    "V0InitialJobRequest": {VM, ME},
    "V0JobRequest": {VM, ME},
    "V0DeclineJobRequest": {MV},
    "V0AcceptJobRequest": {MV},
    "V0ExecutorReadyRequest": {EM, MV},
    "V0StreamingJobReadyRequest(executor->miner)": {EM, MV},
    "V0StreamingJobReadyRequest(miner->validator)": {EM, MV},
    "V0VolumesReadyRequest": {EM, MV},
    "V0ExecutionDoneRequest": {EM, MV},
    "V0JobFailedRequest": {EM, MV},
    "V0JobFinishedRequest": {EM, MV},
    "V0JobAcceptedReceiptRequest": {VM},
    "V0JobFinishedReceiptRequest": {VM},
    "V0MachineSpecsRequest": {EM, MV},
    "V0HordeFailedRequest": {EM, MV},
    "V0AuthenticationRequest": {VF},
    "V0Heartbeat": {VF},
    "Response": {FV},
    "V2JobRequest": {FV},
    "V0JobCheated": {FV},
    "JobStatusUpdate": {VF},
    "V0MachineSpecsUpdate": {VF},
}
OBSOLETE = {"V0ExecutorFailedRequest(deprecated)", "V0StreamingJobNotReadyRequest(deprecated)"}
EXAMPLES = [
    pytest.param(name, example, id=f"{name}-{number}")
    for name, examples in VECTORS["messages"].items()
    if name not in OBSOLETE
    for number, example in enumerate(examples)
]
GOLDEN = Path(__file__).parent / "golden"
CLASSES = sorted({c for _, union in links.LINKS for c in get_args(union)}, key=lambda c: c.__name__)
# Keys of old failure reports that have new names today.
RENAMED = {"error_detail", "error_type"}
OLD = {legacy.ExecutorFailed, legacy.StreamingNotReady}


def decoded(link: Link, frame: str) -> Message | None:
    try:
        return link.decode(frame)
    except ProtocolError:
        return None


def golden(name: str) -> str:
    return compact(json.loads((GOLDEN / f"{name}.json").read_text()))


def test_the_table_above_names_every_published_message():
    assert CROSSES.keys() | OBSOLETE == VECTORS["messages"].keys()


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_crosses_exactly_its_links_and_keeps_its_bytes(name, example):
    frame = compact(example)
    received = {
        link.name: message.encode() for link, _ in links.LINKS if (message := decoded(link, frame))
    }
    assert received == dict.fromkeys(CROSSES[name], frame)


def test_each_message_class_has_one_golden_file_and_there_are_no_others():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {c.__name__ for c in CLASSES}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_a_golden_file_is_read_and_written_without_a_change(cls):
    frame = golden(cls.__name__)
    assert cls.model_validate_json(frame).encode() == frame


@pytest.mark.parametrize("cls", [c for c in CLASSES if c not in OLD], ids=lambda c: c.__name__)
def test_a_class_is_heard_on_the_links_that_list_it_and_on_no_other(cls):
    frame = golden(cls.__name__)
    listed = {link.name for link, union in links.LINKS if cls in get_args(union)}
    assert {link.name for link, _ in links.LINKS if type(decoded(link, frame)) is cls} == listed


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_unknown_keys_are_ignored_since_peers_upgrade_separately(cls):
    sent = json.loads(golden(cls.__name__)) | {"added_in_2031": {"x": [1]}}
    assert cls.model_validate_json(compact(sent)).encode() == golden(cls.__name__)


@pytest.mark.parametrize("transcript", ["ok", "fail", "reconnect"])
def test_every_frame_of_a_live_conversation_is_understood(transcript):
    direction = {"V->M": links.VALIDATOR_TO_MINER, "M->V": links.MINER_TO_VALIDATOR}
    frames = [
        (direction[e["dir"]], e["msg"])
        for e in VECTORS["live_transcripts"][transcript]
        if "dir" in e
    ]
    assert len(frames) >= 9
    for link, sent in frames:
        received = json.loads(link.decode(compact(sent)).encode())
        assert {key: received[key] for key in sent if key not in RENAMED} == {
            key: value for key, value in sent.items() if key not in RENAMED
        }


@pytest.mark.parametrize(
    "frame",
    [
        '{"message_type":"Response","status":"success"}',
        '{"status":"success","errors":[]}',
        '{"status":"error","errors":[{"msg":"m","type":"t","help":"h","loc":["a",1]}]}',
    ],
)
def test_an_answer_of_the_facilitator_needs_no_tag_and_may_tell_more(frame):
    sent = json.loads(links.FACILITATOR_TO_VALIDATOR.decode(frame).encode())
    assert sent["status"] == json.loads(frame)["status"]
    assert sent["errors"] == json.loads(frame).get("errors", [])


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "PING",
        "null",
        "[]",
        "1",
        '"x"',
        "{}",
        '{"message_type":null}',
        '{"message_type":["x"]}',
        '{"message_type":"V9Future"}',
        '{"message_type":{}}',
        '{"message_type":"GenericError"',
    ],
)
@pytest.mark.parametrize("link", [link for link, _ in links.LINKS], ids=lambda link: link.name)
def test_what_is_no_message_is_the_peers_mistake(link, frame):
    with pytest.raises(ProtocolError, match=link.name):
        link.decode(frame)
