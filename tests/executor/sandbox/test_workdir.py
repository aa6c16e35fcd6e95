"""A job's directory is open to the job only, read safely, and removed afterwards."""

import os
import stat

import pytest

from executor.sandbox import workdir
from executor.sandbox.workdir import UnsafePathError, WorkDir


@pytest.fixture
def made(tmp_path):
    work = WorkDir.make(tmp_path / "work", "abc", "me")
    yield work
    if work.path.exists():
        work.remove()


def test_only_the_shared_folders_are_open_and_only_inside_a_closed_one(made):
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    for shared in made.shared():
        assert stat.S_IMODE(shared.stat().st_mode) == 0o777


def test_two_executors_never_share_a_directory(made):
    with pytest.raises(FileExistsError):
        WorkDir.make(made.path.parent, "abc", "me")


def test_nothing_is_left_after_removal(made):
    (made.output / "locked").mkdir()
    (made.output / "locked/file").touch()
    (made.output / "locked").chmod(0)
    made.remove()
    assert list(made.path.parent.iterdir()) == []


def dug(folder, depth: int) -> None:
    """A file whose path is longer than system calls accept."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 100, dir_fd=here)
        inner = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


def test_nothing_is_left_of_a_job_that_dug_deep(made):
    dug(made.output, 1500)
    made.remove()
    assert list(made.path.parent.iterdir()) == []


def test_what_lies_too_deep_is_not_counted_as_nothing(made):
    dug(made.output, 50)
    assert workdir.used_bytes(made.shared(), max_entries=1000) is None


def test_removal_does_not_follow_links(made, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    (made.output / "link").symlink_to(tmp_path / "precious")
    made.remove()
    assert (tmp_path / "precious/file").exists()


def test_only_the_dead_of_the_same_owner_are_abandoned(made, tmp_path):
    parent = tmp_path / "work"
    for name, owner in (("dead", "me"), ("stranger", "you")):
        (parent / f"ch-{name}").mkdir()
        (parent / f"ch-{name}/owner").write_text(owner)
    (parent / "ch-unknown").mkdir()
    assert list(workdir.abandoned(parent, "me")) == ["dead"]
    assert workdir.is_alive(made.path)
    assert not workdir.is_alive(parent / "ch-dead")
    assert not workdir.is_alive(parent / "ch-never")


def test_a_file_inside_is_opened(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"inside")
    with workdir.open_inside(tmp_path, "a/b") as file:
        assert file.read() == b"inside"


def test_no_link_is_followed_on_the_way_or_at_the_end(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("secret")
    (root / "file").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    for path in ("file", "folder/secret"):
        with pytest.raises(OSError):
            workdir.open_inside(root, path)


def test_a_pipe_is_no_file_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsafePathError):
        workdir.open_inside(tmp_path, "pipe")


@pytest.mark.parametrize("before", ["nothing", "file", "link", "folder"])
def test_a_replaced_file_is_fresh_whatever_stood_there(tmp_path, before):
    target = tmp_path / "output/stdout.txt"
    target.parent.mkdir()
    (tmp_path / "secret").write_text("secret")
    match before:
        case "file":
            target.write_text("the job's own")
        case "link":
            target.symlink_to(tmp_path / "secret")
        case "folder":
            (target / "deep").mkdir(parents=True)
    with workdir.replace_file(tmp_path / "output", "stdout.txt") as file:
        file.write(b"printed")
    assert target.read_bytes() == b"printed"
    assert (tmp_path / "secret").read_text() == "secret"


def test_used_disk_is_counted_without_following_links(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(bytes(100_000))
    (tmp_path / "a/loop").symlink_to(tmp_path)
    used = workdir.used_bytes((tmp_path,), max_entries=100)
    assert 100_000 <= used <= 150_000
    assert workdir.used_bytes((tmp_path,), max_entries=2) is None


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_work_directory_that_others_may_write_to_is_refused(tmp_path, mode):
    (tmp_path / "work").mkdir()
    (tmp_path / "work").chmod(mode)
    with pytest.raises(OSError, match="may be written to by others"):
        WorkDir.make(tmp_path / "work", "1", "me")


def test_a_work_directory_of_another_user_or_behind_a_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o711)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match="or a link"):
        WorkDir.make(tmp_path / "link", "1", "me")
    if os.getuid():
        pytest.skip("giving a directory away needs root")
    os.chown(tmp_path / "real", 1234, 1234)
    with pytest.raises(OSError, match="belongs to user 1234"):
        WorkDir.make(tmp_path / "real", "1", "me")
