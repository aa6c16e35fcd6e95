"""Files of cases: outputs are filled in, bad files are refused in a line."""

import json

import pytest

from tests.validator.scoring.cases.recorded import FOLDER
from validator.scoring.cases import files
from validator.scoring.cases.files import KINDS, CaseFileError, filled, kinds


def test_every_recorded_file_has_a_kind():
    assert {path.stem for path in FOLDER.glob("*.json")} <= KINDS.keys()


def test_each_kind_is_listed_with_what_it_is():
    assert len(kinds()) == len(KINDS)
    assert all(len(line.split(maxsplit=1)) == 2 for line in kinds())


def test_the_rest_of_the_file_stays_as_it_is():
    text = b'{"source": "s", "cases": [{"unix_time": 600.0, "page": 7, "note": 0.1}]}'
    assert json.loads(filled("receipt_page_of_time", text)) == {
        "source": "s",
        "cases": [{"unix_time": 600.0, "page": 2, "note": 0.1}],
    }


def test_the_same_file_gives_the_same_bytes():
    first = filled("sigmoid", b'{"cases": [{"x": 1, "beta": 2, "delta": 0}]}')
    assert first == filled("sigmoid", b'{"cases": [{"delta": 0, "x": 1, "beta": 2}]}')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "a list named cases"),
        (b'{"cases": {}}', "a list named cases"),
        (b'{"cases": [1]}', "case 1 is no JSON object"),
        (b'{"cases": [{"unix_time": NaN}]}', "finite number"),
        (b'{"cases": [{"unix_time": 1e999999}]}', "must lie below"),
        (b'{"cases": [{"unix_time": ' + b"9" * 5000 + b"}]}", "not JSON"),
        (
            b'{"cases": [{"unix_time": "1"}]}',
            "case 1: unix_time: Value error, this must be a number",
        ),
        (b'{"cases": [{"unix_time": 0}, {}]}', "case 2: unix_time: Field required"),
    ],
)
def test_bad_files_are_refused(text, problem):
    with pytest.raises(CaseFileError, match=problem):
        filled("receipt_page_of_time", text)


def test_cases_without_an_output_are_refused():
    case = b'{"cases": [{"reliabilities": [0], "center": 0, "steepness": 5}]}'
    with pytest.raises(CaseFileError, match="case 1: the centre must not be 0"):
        filled("routing_reliability", case)


def test_unknown_kinds_are_answered_with_the_known_ones():
    with pytest.raises(CaseFileError, match="unknown formula 'nope'; known are allowance, "):
        filled("nope", b"")


def test_files_are_bounded(monkeypatch):
    monkeypatch.setattr(files, "MAX_CASES", 1)
    with pytest.raises(CaseFileError, match="over 1 cases"):
        filled("receipt_page_of_time", b'{"cases": [{"unix_time": 0}, {"unix_time": 0}]}')
    monkeypatch.setattr(files, "MAX_BYTES", 9)
    with pytest.raises(CaseFileError, match="over 9 bytes"):
        filled("receipt_page_of_time", b'{"cases": []}')
