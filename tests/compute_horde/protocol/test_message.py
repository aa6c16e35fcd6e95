"""No bytes make a decoder raise anything but `ProtocolError`, nor take memory beyond the frame."""

import json
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_horde import frames
from compute_horde.errors import ProtocolError
from compute_horde.protocol import links
from compute_horde.protocol.message import Link
from tests.compute_horde.vectors import compact

LINKS = [link for link, _ in links.LINKS]
GOLDEN = [p.read_text() for p in sorted((Path(__file__).parent / "golden").glob("*.json"))]
MIB = 2**20
N = frames.MAX_VALUES // 2 - 50

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**30, -(10**30), 2**63, 1e308, float("nan"), float("inf"), -0.0])
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(
        ["\ud800", "\0", "unknown", "inline", "0x" + "0" * 128, "2026-01-01T00:00:00Z"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def received(link: Link, frame: str | bytes) -> None:
    """Decode a frame; a decoded message must also be encodable."""
    try:
        message = link.decode(frame)
    except ProtocolError:
        return
    assert type(link.decode(message.encode())) is type(message)


def paths(value: object, here: tuple = ()) -> list[tuple]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [here, *(path for key, part in inner for path in paths(part, (*here, key)))]


@st.composite
def spoiled(draw: st.DrawFn) -> str:
    """A golden message with one value replaced or removed."""
    sent = {"": json.loads(draw(st.sampled_from(GOLDEN)))}
    *way, last = draw(st.sampled_from(paths(sent)[1:]))
    place = sent
    for step in way:
        place = place[step]
    if draw(st.booleans()):
        place[last] = draw(values)
    else:
        del place[last]
    return json.dumps(sent.get(""), ensure_ascii=draw(st.booleans()))


@given(st.binary(max_size=200) | st.text(max_size=100))
@settings(max_examples=60)
def test_noise_is_refused(frame):
    for link in LINKS:
        received(link, frame)


@given(spoiled())
@settings(max_examples=400)
def test_a_spoiled_message_is_refused_or_understood(frame):
    for link in LINKS:
        received(link, frame)


@given(st.sampled_from(GOLDEN), st.data())
@settings(max_examples=150)
def test_a_message_with_spoiled_bytes_is_refused_or_understood(golden, data):
    frame = bytearray(golden.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    for link in LINKS:
        received(link, bytes(frame))


@pytest.mark.parametrize(
    "frame",
    [
        '{"message_type":"GenericError","details":"\\ud800"}',
        '{"message_type":"GenericError","details":"\ud800"}',
        b'{"message_type":"GenericError","details":"\xff"}',
        "\ufeff" + '{"message_type":"GenericError"}',
        '{"message_type":"GenericError","x":' + "[" * 9999 + "]" * 9999 + "}",
        '{"message_type":"GenericError","x":' + '{"a":' * 9999 + "1" + "}" * 10000,
        '{"message_type":"GenericError","x":' + "9" * 5000 + "}",
    ],
    ids=[
        "escaped surrogate",
        "surrogate",
        "not UTF-8",
        "byte order mark",
        "lists",
        "dicts",
        "number",
    ],
)
def test_what_json_does_not_hold_is_refused(frame):
    with pytest.raises(ProtocolError):
        links.VALIDATOR_TO_MINER.decode(frame)


def test_the_last_of_equal_keys_wins_as_it_does_under_a_signature():
    frame = '{"message_type":"GenericError","details":"a","details":"b"}'
    assert links.VALIDATOR_TO_MINER.decode(frame).details == frames.parsed(frame)["details"] == "b"


@pytest.mark.parametrize(
    "number", ["NaN", "-1", "1e400", "9" * 4000, "9223372036854775808", "1.5", '"x"']
)
def test_a_number_that_fits_no_column_is_refused(number):
    auth = '{"message_type":"ValidatorAuthForMiner","validator_hotkey":"a","miner_hotkey":"b"'
    with pytest.raises(ProtocolError, match="timestamp"):
        links.VALIDATOR_TO_MINER.decode(f'{auth},"timestamp":{number},"signature":"x"}}')


def test_a_refusal_names_the_field_and_does_not_repeat_what_was_sent():
    sent = {"message_type": "V0ExecutionDoneRequest", "job_uuid": "my-secret"}
    with pytest.raises(ProtocolError, match="job_uuid") as caught:
        links.MINER_TO_VALIDATOR.decode(compact(sent))
    assert "my-secret" not in str(caught.value)


def test_a_refusal_counts_the_problems_it_does_not_list():
    sent = {"message_type": "V0JobFinishedRequest", "artifacts": 1, "upload_results": 1}
    with pytest.raises(ProtocolError, match=r"\(and 2 more\)"):
        links.MINER_TO_VALIDATOR.decode(compact(sent))


def test_a_refusal_of_very_many_problems_only_counts_them():
    sent = {"message_type": "V0JobRequest", "docker_run_cmd": [1] * 500}
    with pytest.raises(ProtocolError, match=r": 504 problems$"):
        links.VALIDATOR_TO_MINER.decode(compact(sent))


@pytest.mark.parametrize(
    ("link", "limit"), [(links.VALIDATOR_TO_MINER, 50 * MIB), (links.FACILITATOR_TO_VALIDATOR, MIB)]
)
def test_a_frame_over_the_limit_of_its_link_is_refused_unread(link, limit):
    with pytest.raises(ProtocolError, match=f"over {limit} bytes"):
        link.decode(b" " * (limit + 1))
    with pytest.raises(ProtocolError, match=f"over {limit} bytes"):
        link.decode("ł" * (limit // 2 + 1))


HOSTILE = {
    "empty lists": '{"message_type":"GenericError","x":[' + ",".join(["[]"] * N) + "]}",
    "empty objects": '{"message_type":"V0MachineSpecsRequest","specs":{"a":['
    + ",".join(["{}"] * N)
    + "]}}",
    "wrong receipts": '{"message_type":"V0DeclineJobRequest","receipts":['
    + ",".join(["{}"] * N)
    + "]}",
    "wrong environment": '{"message_type":"V0JobRequest","env":{'
    + ",".join(f'"{i:x}":1' for i in range(2 * N))
    + "}}",
    "wrong arguments": '{"message_type":"V0JobRequest","docker_run_cmd":['
    + ",".join("1" * 2 * N)
    + "]}",
    "wrong volumes": '{"message_type":"V0JobRequest","volume":'
    '{"volume_type":"multi_volume","volumes":[' + ",".join(["{}"] * N) + "]}}",
    "wrong patterns": '{"message_type":"V0JobRequest","volume":{"volume_type":'
    '"huggingface_volume","repo_id":"x","allow_patterns":[' + ",".join("1" * 2 * N) + "]}}",
}


def test_many_small_wrong_values_take_less_memory_than_the_largest_frame():
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import tell_growth; tell_growth()"],
        capture_output=True,
        text=True,
        check=True,
    )
    grown = json.loads(done.stdout)
    assert grown.keys() == HOSTILE.keys()
    assert sum(grown.values()) < frames.MAX_FRAME_BYTES, grown


def tell_growth() -> None:
    """Print by how much each hostile frame raised the most memory this process ever held."""
    grown = {}
    for name, frame in HOSTILE.items():
        before = most_memory()
        for link in LINKS:
            received(link, frame)
        grown[name] = most_memory() - before
    sys.stdout.write(json.dumps(grown))


def most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize(
    "frame",
    [
        b'{"message_type":"GenericError","x":[' + b"[]," * (3 * MIB) + b"1]}",
        b'{"message_type":"GenericError","x":[' + b'"",' * (3 * MIB) + b"1]}",
        b'{"message_type":"GenericError","x":"' + b",\\" * (4 * MIB) + b'"}',
        b'{"message_type":"GenericError","x":"' + b"," * (9 * MIB),
    ],
    ids=["lists", "strings", "escapes", "an open string"],
)
def test_millions_of_values_are_refused_before_they_are_read(frame):
    assert peak_of(links.VALIDATOR_TO_MINER, frame) < MIB


def test_a_long_text_full_of_commas_is_one_value():
    sent = '{"message_type":"GenericError","details":"' + '[{,\\"' * 200_000 + '"}'
    assert links.VALIDATOR_TO_MINER.decode(sent).details == '[{,"' * 200_000


def peak_of(link: Link, frame: bytes) -> int:
    """The peak of Python's memory while decoding."""
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            link.decode(frame)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
