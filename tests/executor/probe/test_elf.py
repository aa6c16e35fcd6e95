"""Programs made of system calls run correctly on this machine's processor."""

import os
import platform
import struct
import subprocess

import pytest

from executor.probe import elf
from executor.probe.elf import Buffer, Previous, call

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")


def test_each_call_is_made_and_its_answer_printed(tmp_path):
    """Results, filled buffers, text arguments, and the file descriptor of the previous call."""
    if not MACHINE:
        pytest.skip("there is no such program for this processor")
    content_file = tmp_path / "content"
    content_file.write_text("hello")
    calls = [
        call("getpid"),
        call("openat", -100, str(content_file).encode(), 0, 0),
        call("read", Previous(), Buffer(16), 16),
        call("openat", -100, b"/no/such/file", 0, 0),
        call("read", Previous(), Buffer(16), 16),
    ]
    program = tmp_path / "program"
    program.write_bytes(elf.program(MACHINE, calls))
    program.chmod(0o755)
    with subprocess.Popen([program], stdout=subprocess.PIPE) as running:
        printed, _ = running.communicate(timeout=10)
    assert running.returncode == 0
    answers = elf.answers(calls, printed)
    assert answers[0].result == running.pid
    assert answers[1].result > 2
    assert (answers[2].result, answers[2].written) == (5, b"hello")
    assert answers[3].result == -2
    assert (answers[4].result < 0, answers[4].written) == (True, b"")


@pytest.mark.parametrize("machine", elf.NUMBERS)
def test_data_cannot_be_executed_and_code_cannot_be_written(machine):
    made = elf.program(machine, [call("getpid")])
    assert struct.unpack_from("<H", made, 18)[0] == elf.ELF_MACHINES[machine]
    rights = []
    for number in range(2):
        kind, flags, offset, address, _, size, *_ = struct.unpack_from(
            "<IIQQQQQQ", made, 64 + 56 * number
        )
        assert kind == 1
        assert offset + size <= len(made)
        assert address % elf.PAGE_BYTES == offset % elf.PAGE_BYTES
        rights.append(flags)
    assert rights == [elf.READABLE | elf.WRITABLE, elf.READABLE | elf.EXECUTABLE]


def test_calls_for_arm_are_the_instructions_of_its_manual():
    """mov x0..x1, mov x8, svc, mov x9, str; compared as bytes, without such a processor."""
    words = struct.unpack("<18I", elf._arm64(57, [0x1234, -1], elf.DATA_AT))
    assert words[:2] == (0xD2824680, 0xF2A00000)
    assert words[4:6] == (0xD29FFFE1, 0xF2BFFFE1)
    assert words[8] == 0xD2800728
    assert words[12] == 0xD4000001
    assert words[13:15] == (0xD2800009, 0xF2A02009)
    assert words[17] == 0xF9000120


def test_every_call_has_its_number_on_every_machine():
    names = [set(numbers) for numbers in elf.NUMBERS.values()]
    assert all(one == names[0] for one in names)


def test_half_an_answer_is_none():
    calls = [call("read", 0, Buffer(8), 8)]
    with pytest.raises(ValueError, match="15 bytes instead of 16"):
        elf.answers(calls, os.urandom(15))
