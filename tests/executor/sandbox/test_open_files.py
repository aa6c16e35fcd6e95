"""Deleted files are found however a process holds them."""

import ctypes
import mmap
import os
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from executor.sandbox import open_files

MIB = 2**20
CLONE_FILES = 0x400
ME = os.getpid()


def deleted(folder, name="x"):
    """A deleted file of 1 MiB that is held open."""
    path = folder / name
    file = path.open("w+b")
    file.write(b"x" * MIB)
    file.flush()
    path.unlink()
    return file


def held(folder, **how):
    return open_files.held_files([ME], folder.stat().st_dev, **({"most": 10_000} | how))


@pytest.fixture
def before(tmp_path):
    """Bytes of deleted files that the test process held before."""
    return held(tmp_path).bytes


def test_an_open_file_counts_until_it_is_closed(tmp_path, before):
    file = deleted(tmp_path)
    # The same file twice is one file.
    again = os.dup(file.fileno())
    assert held(tmp_path).bytes - before == MIB
    file.close()
    os.close(again)
    assert held(tmp_path).bytes == before


def test_a_file_with_a_name_is_counted_by_its_folder(tmp_path, before):
    with (tmp_path / "x").open("w+b") as file:
        file.write(b"x" * MIB)
        file.flush()
        assert held(tmp_path).bytes == before


def test_a_hole_takes_no_disk(tmp_path, before):
    with (tmp_path / "x").open("w+b") as file:
        file.truncate(MIB)
        (tmp_path / "x").unlink()
        assert held(tmp_path).bytes == before


def test_a_file_in_memory_takes_no_disk(tmp_path, before):
    with deleted(Path("/dev/shm"), f"openfiles-{ME}"):
        assert held(tmp_path).bytes == before


@pytest.mark.skipif(os.geteuid() != 0, reason="what is only mapped is shown to root alone")
def test_a_file_that_is_only_mapped_counts(tmp_path, before):
    file = deleted(tmp_path)
    mapped = mmap.mmap(file.fileno(), 4096)
    file.close()
    assert held(tmp_path).bytes - before == MIB
    mapped.close()
    assert held(tmp_path).bytes == before


@contextmanager
def thread_with_files_of_its_own(folder):
    libc = ctypes.CDLL(None, use_errno=True)
    ready, over = threading.Event(), threading.Event()

    def hide():
        assert libc.unshare(CLONE_FILES) == 0
        with deleted(folder):
            ready.set()
            over.wait(30)

    thread = threading.Thread(target=hide)
    thread.start()
    try:
        assert ready.wait(30)
        yield
    finally:
        over.set()
        thread.join()


def test_a_thread_may_have_files_of_its_own(tmp_path, before):
    with thread_with_files_of_its_own(tmp_path):
        assert held(tmp_path).bytes - before == MIB


def test_threads_that_share_their_files_are_looked_at_once(tmp_path):
    over = threading.Event()
    threads = [threading.Thread(target=over.wait, args=(30,)) for _ in range(20)]
    alone = held(tmp_path).looked
    for thread in threads:
        thread.start()
    assert held(tmp_path).looked < 2 * alone
    over.set()
    for thread in threads:
        thread.join()


def test_too_many_open_files_are_not_counted_to_their_end(tmp_path):
    assert held(tmp_path, most=2) is None


def test_mappings_without_end_are_not_read_to_their_end(tmp_path, monkeypatch):
    monkeypatch.setattr(open_files, "MOST_MAPPINGS", 5)
    found = held(tmp_path)
    assert found.hidden
    assert found.mappings == 6


@pytest.fixture
def proc(tmp_path):
    """A tree like /proc, with processes of the container `c0ffee` and others."""
    for pid, cgroup in ((1, "0::/init"), (7, "5:pids:/docker/c0ffee"), (8, "0::/../c0ffee")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(cgroup)
    (tmp_path / "9").mkdir()
    (tmp_path / "self").mkdir()
    return tmp_path


def test_processes_are_known_by_their_control_group(proc):
    assert sorted(open_files.processes("c0ffee", proc)) == [7, 8]
    assert open_files.processes("decaf", proc) == []


def test_a_process_that_ends_meanwhile_holds_nothing(proc):
    assert open_files.held_files([7, 999_999_999], 1, most=10).looked == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_process_that_keeps_us_out_is_told(tmp_path):
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os.write(writes, b"1" if open_files.held_files([1], 0, most=1000).hidden else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reads, 1) == b"1"
    os.close(reads)
    os.close(writes)
