"""A facilitator's JSON costs memory in proportion to its size, or is refused at once."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.errors import ProtocolError
from compute_horde_sdk.facilitator import bounded_json
from compute_horde_sdk.v1 import ComputeHordeError

HOSTILE = [
    "[],", "{},", '"ab",', "1,", "[[", '{"a":[]},', '"\\"",', '{"status":"sent"},', "null,", '"",',
]  # fmt: skip
MEASURED = """
import resource, sys, time
from compute_horde.errors import ProtocolError
from compute_horde_sdk.facilitator import bounded_json
piece = sys.argv[1].encode()
text = b'{"status_history":[' + piece * (40_000_000 // len(piece)) + b"0]}"
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    bounded_json.parsed(text)
except (ProtocolError, RecursionError, ValueError) as exc:
    print(type(exc).__name__)
after = resource.getrusage(resource.RUSAGE_SELF)
print((after.ru_maxrss - before.ru_maxrss) // 1024, after.ru_utime - before.ru_utime)
"""


@pytest.mark.parametrize("piece", HOSTILE)
def test_forty_megabytes_of_small_values_cost_neither_memory_nor_time(piece):
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, piece], capture_output=True, text=True, check=True
    )
    refusal, figures = done.stdout.splitlines()
    megabytes, seconds = map(float, figures.split())
    assert refusal == "ProtocolError"
    assert megabytes < 60
    assert seconds < 3


WIDTH = """
import json, resource, sys
from compute_horde.errors import ProtocolError
from compute_horde_sdk.facilitator import bounded_json
big, end = b"A" * 40_000_000, sys.argv[1].encode()
text = b'{"a":"' + big + end
del big
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(len(bounded_json.parsed(text)["a"]))
except (ProtocolError, ValueError) as exc:
    print(type(exc).__name__)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
SMILE = "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (f'","b":"{SMILE}"}}', "40000000"),
        ('","b":"\\ud83d\\ude00"}', "40000000"),
        (f'{SMILE}"}}', "ProtocolError"),
        ('\\ud83d\\ude00"}', "ProtocolError"),
        (f'"}}{SMILE}', "ValueError"),
    ],
)
def test_one_wide_character_makes_no_more_than_its_own_text_wide(end, outcome):
    done = subprocess.run(
        [sys.executable, "-c", WIDTH, end], capture_output=True, text=True, check=True
    )
    found, megabytes = done.stdout.split()
    assert found == outcome
    assert int(megabytes) < 110


@given(st.recursive(st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)))
@pytest.mark.parametrize("escapes", [True, False])
def test_a_large_document_is_read_as_a_small_one_is(escapes, value):
    text = json.dumps(value, ensure_ascii=escapes).encode("utf-8", "surrogatepass")
    assert json.loads(bounded_json._in_ascii(text)) == value
    assert bounded_json.parsed(b"\xef\xbb\xbf" + text) == value


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be"])
def test_json_is_utf_8(encoding):
    with pytest.raises(ValueError):
        bounded_json.parsed(json.dumps({"a": 1}).encode(encoding))


def test_large_texts_are_read_whatever_is_in_them():
    text = '{"a": [1, 2, "b"]}, \\" [' * 100_000
    document = {"stdout": text, "artifacts": {"/a/x": "A" * 1_000_000}}
    assert bounded_json.parsed(json.dumps(document).encode()) == document


VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_no_value_is_counted_that_is_not_there(value):
    text = json.dumps(value).encode()

    def count(value):
        if isinstance(value, dict):
            return 1 + len(value) + sum(map(count, value.values()))
        return 1 + (sum(map(count, value)) if isinstance(value, list) else 0)

    assert sum(1 for _ in bounded_json.VALUES.finditer(text)) == count(value)


async def test_an_answer_with_too_many_values_is_told(client, server, spec):
    job = await client.create_job(spec)
    server.extra_bytes = b" " + b"[]," * 600_000
    with pytest.raises((ProtocolError, ComputeHordeError), match="values") as caught:
        await client.get_job(job.uuid)
    assert caught.value.job_uuid == job.uuid
