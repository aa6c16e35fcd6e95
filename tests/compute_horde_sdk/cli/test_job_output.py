"""What is printed while a job runs is not printed again, and nothing is missing in the end."""

import pytest

from compute_horde_sdk.cli.job_output import HALF_CHARACTERS, SHOWN_CHARACTERS, OutputPrinter, copy
from compute_horde_sdk.facilitator.job_logs import LogPiece
from compute_horde_sdk.job_result import result_from

GAP = "\n[3 bytes of the output were lost]\n"


def printed(capsys, pieces, stdout="", stderr=""):
    output = OutputPrinter()
    for stream, text in pieces:
        output(LogPiece(stream, text, 0, is_gap=text == GAP))
    output.finish(result_from(stdout, stderr, {}, {}))
    return tuple(capsys.readouterr())


def test_each_stream_goes_its_way_once(capsys):
    pieces = [("stdout", "a\n"), ("stderr", "e\n"), ("stdout", "b\n")]
    assert printed(capsys, pieces, "a\nb\n", "e\n") == ("a\nb\n", "e\n")


def test_without_a_log_the_result_is_printed(capsys):
    assert printed(capsys, [], "out", "err") == ("out", "err")


def test_what_the_log_lacks_at_its_end_comes_with_the_result(capsys):
    assert printed(capsys, [("stdout", "a\n")], "a\nb\n", "note") == ("a\nb\n", "note")


def test_after_a_gap_all_is_printed_again_and_that_is_said(capsys):
    pieces = [("stdout", "a"), ("stderr", GAP), ("stdout", "c")]
    out, err = printed(capsys, pieces, "abbbc")
    assert out == "ac" + "abbbc"
    assert err.startswith(GAP)
    assert "not all of stdout" in err


def test_a_result_that_is_shortened_is_recognised(capsys):
    text = "".join(f"{number:07}\n" for number in range(SHOWN_CHARACTERS // 4))
    shown = text[:HALF_CHARACTERS] + " ... " + text[-HALF_CHARACTERS:]
    pieces = [("stdout", text[start : start + 60_000]) for start in range(0, len(text), 60_000)]
    assert printed(capsys, pieces, shown) == (text, "")


def test_what_logs_cannot_hold_is_no_difference(capsys):
    assert printed(capsys, [("stdout", "a\N{REPLACEMENT CHARACTER}")], "a\0b")[0][-1] == "b"


class Job:
    """A job whose log comes one character at a time."""

    def __init__(self, text):
        self.data = text.encode()
        self.asked = []

    async def logs(self, follow, from_):
        self.asked.append((follow, from_))
        cursor = from_
        for character in self.data[from_:].decode():
            cursor += len(character.encode())
            yield LogPiece("stdout", character, cursor)


@pytest.mark.parametrize("cut", range(len("aö€😀".encode()) + 1))
async def test_a_file_is_gone_on_with_wherever_it_was_cut(tmp_path, cut):
    job, file = Job("aö€😀b"), tmp_path / "log"
    file.write_bytes(job.data[:cut])
    await copy(job, follow=True, start=0, target=file)
    assert file.read_bytes() == job.data
    assert job.asked[0][1] <= cut


async def test_a_new_file_is_made(tmp_path):
    job = Job("abc")
    await copy(job, follow=False, start=0, target=tmp_path / "log")
    assert ((tmp_path / "log").read_bytes(), job.asked) == (b"abc", [(False, 0)])
