"""The output of a probe is judged for each protection."""

import pytest

from executor.probe import elf, protections

STATUS = (
    "Name:\tprobe\nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t{bounds}\nCapAmb:\t0\n"
    "NoNewPrivs:\t{privileges}\nSeccomp:\t{seccomp}\n"
)
ROUTES = b"Iface\tDestination\n"
GOOD = {"bounds": "0000000000000000", "privileges": "1", "seccomp": "2"}
CONFINED = STATUS.format(**GOOD)


def printed(expected, *, status=CONFINED, routes=ROUTES, **done):
    """The output of a probe that is refused all calls but those in `done`."""
    results, rooms = b"", b""
    text = b""
    for one in protections.calls_of(expected):
        result, fill = done.get(one.name, -1), b""
        if one.name == "getpid":
            result = done.get("getpid", 1)
        if one.name == "openat":
            text = {b"/proc/self/status": status.encode(), b"/proc/net/route": routes}.get(
                one.arguments[1], b""
            )
        if one.name == "read":
            result, fill = len(text), text
        results += elf.RESULT.pack(result)
        for size in elf._buffer_sizes(one):
            rooms += fill.ljust(size, b"\0")
    return results + rooms


def broken(**how):
    expected = protections.expected(writable_root=False)
    return set(protections.missing_protections(expected, printed(expected, **how)))


def test_a_confined_container_breaks_nothing():
    assert broken() == set()


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ({"status": STATUS.format(**GOOD | {"bounds": "20"})}, "no capabilities"),
        ({"status": STATUS.format(**GOOD | {"privileges": "0"})}, "no new privileges"),
        ({"status": STATUS.format(**GOOD | {"seccomp": "0"})}, "a filter of system calls"),
        ({"routes": ROUTES + b"eth0\t0\n"}, "no network but a loopback"),
        ({"connect": 0}, "no network but a loopback"),
        ({"getpid": 77}, "process numbers of its own"),
        ({"faccessat": 0}, "a read-only root"),
        ({"mount": 0}, "no mounting"),
        ({"mknodat": 0}, "no making of devices"),
        ({"chroot": 0}, "no change of root"),
        ({"keyctl": 1234}, "no system call keyctl"),
        ({"bpf": 3}, "no system call bpf"),
        ({"userfaultfd": 3}, "no system call userfaultfd"),
    ],
)
def test_each_thing_that_could_be_done_is_named(how, named):
    assert broken(**how) == {named}


def test_a_root_that_may_be_written_to_is_fine_where_the_operator_wants_it():
    expected = protections.expected(writable_root=True)
    assert protections.missing_protections(expected, printed(expected, faccessat=0)) == {}


def test_a_probe_that_saw_nothing_proves_nothing():
    with pytest.raises(ValueError, match="cannot read"):
        broken(status="")
    with pytest.raises(ValueError, match="bytes instead of"):
        protections.missing_protections(protections.expected(writable_root=False), b"")
