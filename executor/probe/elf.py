"""Builds a static Linux program that only makes system calls, without a compiler.

It makes all calls in order, whatever their results, then prints the results and the data that the
calls wrote. It needs no loader, library or shell.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Numbers of system calls, by the engine's names of architectures.
NUMBERS = {
    "amd64": {
        "read": 0,
        "write": 1,
        "getpid": 39,
        "socket": 41,
        "connect": 42,
        "chroot": 161,
        "mount": 165,
        "exit_group": 231,
        "keyctl": 250,
        "openat": 257,
        "mknodat": 259,
        "faccessat": 269,
        "unshare": 272,
        "bpf": 321,
        "userfaultfd": 323,
    },
    "arm64": {
        "mknodat": 33,
        "mount": 40,
        "faccessat": 48,
        "chroot": 51,
        "openat": 56,
        "read": 63,
        "write": 64,
        "exit_group": 94,
        "unshare": 97,
        "getpid": 172,
        "socket": 198,
        "connect": 203,
        "keyctl": 219,
        "bpf": 280,
        "userfaultfd": 282,
    },
}
ELF_MACHINES = {"amd64": 62, "arm64": 183}
HEADER_BYTES = 64 + 2 * 56
# Segments may share a page of the file but not of memory; no architecture has larger pages.
PAGE_BYTES = 2**16
DATA_AT, CODE_AT = 0x1000000, 0x2000000
LOADED, EXECUTABLE, WRITABLE, READABLE = 1, 1, 2, 4
STDOUT = 1
RESULT = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Buffer:
    """An argument: memory of `size` bytes, which the call may fill."""

    size: int


@dataclass(frozen=True, slots=True)
class Previous:
    """The first argument: the result of the previous call, such as a file descriptor."""


Argument = int | bytes | Buffer | Previous


@dataclass(frozen=True, slots=True)
class Call:
    """One system call; bytes are passed by their address, with a zero byte appended."""

    name: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """The result of a call, negative for an error, and the bytes that it wrote."""

    result: int
    written: bytes = b""


def call(name: str, *arguments: Argument) -> Call:
    """A system call by its name in `NUMBERS`."""
    return Call(name, arguments)


def program(machine: str, calls: Sequence[Call]) -> bytes:
    """The ELF file that makes these calls, for an architecture in `NUMBERS`."""
    numbers, write = NUMBERS[machine], WRITERS[machine]
    output_bytes = printed_bytes(calls)
    data = bytearray(output_bytes)
    start = DATA_AT + HEADER_BYTES
    buffer = start + RESULT.size * len(calls)
    code = bytearray()
    for index, one in enumerate(calls):
        values: list[int | Previous] = []
        for argument in one.arguments:
            if isinstance(argument, Buffer):
                values.append(buffer)
                buffer += argument.size
            elif isinstance(argument, bytes):
                values.append(start + len(data))
                data += argument + b"\0"
            else:
                values.append(argument)
        code += write(numbers[one.name], values, start + RESULT.size * index)
    unread = start + len(data)
    data += bytes(RESULT.size)
    code += write(numbers["write"], [STDOUT, start, output_bytes], unread)
    code += write(numbers["exit_group"], [0], unread)
    return _file(machine, bytes(data), bytes(code))


def printed_bytes(calls: Sequence[Call]) -> int:
    """How many bytes the program prints."""
    return sum(RESULT.size + sum(_buffer_sizes(one)) for one in calls)


def answers(calls: Sequence[Call], printed: bytes) -> list[ProbeAnswer]:
    """Parse the output of a program of these calls; raises `ValueError` for another length."""
    if len(printed) != printed_bytes(calls):
        raise ValueError(f"{len(printed)} bytes instead of {printed_bytes(calls)}")
    found, at = [], RESULT.size * len(calls)
    for index, one in enumerate(calls):
        (result,) = RESULT.unpack_from(printed, RESULT.size * index)
        size = sum(_buffer_sizes(one))
        found.append(ProbeAnswer(result, printed[at : at + min(size, max(0, result))]))
        at += size
    return found


def _buffer_sizes(one: Call) -> list[int]:
    return [argument.size for argument in one.arguments if isinstance(argument, Buffer)]


def _amd64(number: int, values: Sequence[int | Previous], result_at: int) -> bytes:
    code = b""
    # rdi, rsi, rdx, r10, r8: prefix and instruction that loads eight bytes.
    registers = (b"\x48\xbf", b"\x48\xbe", b"\x48\xba", b"\x49\xba", b"\x49\xb8")
    for load, value in zip(registers, values, strict=False):
        # mov rdi, rax
        code += b"\x48\x89\xc7" if isinstance(value, Previous) else load + RESULT.pack(value)
    code += b"\x48\xb8" + RESULT.pack(number) + b"\x0f\x05"
    # mov rbx, result_at; mov [rbx], rax
    return code + b"\x48\xbb" + RESULT.pack(result_at) + b"\x48\x89\x03"


def _arm64(number: int, values: Sequence[int | Previous], result_at: int) -> bytes:
    def load(register: int, value: int) -> list[int]:
        parts = [(value >> 16 * n) & 0xFFFF for n in range(4)]
        # movz for the first part, movk for the others
        return [
            (0xF2800000 if n else 0xD2800000) | n << 21 | part << 5 | register
            for n, part in enumerate(parts)
        ]

    words: list[int] = []
    for register, value in enumerate(values):
        # The result of the previous call is still in x0.
        if not isinstance(value, Previous):
            words += load(register, value)
    # svc #0; str x0, [x9]
    words += [*load(8, number), 0xD4000001, *load(9, result_at), 0xF9000120]
    return struct.pack(f"<{len(words)}I", *words)


WRITERS: dict[str, Callable[[int, Sequence[int | Previous], int], bytes]] = {
    "amd64": _amd64,
    "arm64": _arm64,
}


def _file(machine: str, data: bytes, code: bytes) -> bytes:
    """An ELF file of header, data and code, with a segment each for data and code."""
    data += bytes(-len(data) % 4)
    code_offset = HEADER_BYTES + len(data)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(identity, 2, ELF_MACHINES[machine], 1, CODE_AT + code_offset, 64, 0, 0),
        *(64, 56, 2, 64, 0, 0),
    )
    segments = b"".join(
        struct.pack("<IIQQQQQQ", LOADED, rights, offset, base + offset, base + offset, *sizes)
        for rights, offset, base, sizes in (
            (READABLE | WRITABLE, HEADER_BYTES, DATA_AT, (len(data), len(data), PAGE_BYTES)),
            (READABLE | EXECUTABLE, code_offset, CODE_AT, (len(code), len(code), PAGE_BYTES)),
        )
    )
    return header + segments + data + code
