"""Small regular files are in the result; those left out are named."""

import base64
import os

import pytest

from executor.output import artifacts
from executor.output.artifacts import collect


def text(data):
    return base64.b64encode(data).decode()


def test_files_are_returned_by_their_path_in_the_container(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x")
    (tmp_path / "b").write_bytes(bytes(999_999))
    assert collect(tmp_path, "/artifacts/") == (
        {"/artifacts/a.txt": "eA==", "/artifacts/b": text(bytes(999_999))},
        (),
    )
    assert collect(tmp_path, "/artifacts").note() == ""


@pytest.mark.parametrize("artifacts_dir", [None, ""])
def test_a_job_without_artifacts_has_none(tmp_path, artifacts_dir):
    (tmp_path / "a.txt").write_bytes(b"x")
    assert collect(tmp_path, artifacts_dir) == ({}, ())


def test_what_is_left_out_is_named(tmp_path):
    (tmp_path / "big").write_bytes(bytes(1_000_000))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/inside").write_bytes(b"x")
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"x")
    found = collect(tmp_path, "/artifacts")
    assert found.files == {}
    left_out = {one.name: one for one in found.left_out}
    assert left_out.keys() == {
        f"/artifacts/{name}" for name in ("big", "folder/", "link", "pipe", "\\udcff")
    }
    assert left_out["/artifacts/big"].size == 1_000_000
    assert "999,999 bytes" in left_out["/artifacts/big"].why
    assert (left_out["/artifacts/folder/"].size, left_out["/artifacts/folder/"].why[:7]) == (
        1,
        "1 files",
    )
    assert "not a regular file" in left_out["/artifacts/link"].why
    assert "not a regular file" in left_out["/artifacts/pipe"].why
    assert "not UTF-8" in left_out["/artifacts/\\udcff"].why
    note = found.note()
    for one in found.left_out:
        assert one.why in note
    note.encode()


def test_empty_folders_are_no_loss(tmp_path):
    (tmp_path / "empty/deep").mkdir(parents=True)
    assert collect(tmp_path, "/artifacts") == ({}, ())


def test_a_file_that_does_not_fit_costs_no_smaller_one_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "TOTAL_CHARS", 1000)
    for name, size in (("a", 300), ("b", 900), ("c", 300)):
        (tmp_path / name).write_bytes(bytes(size))
    found = collect(tmp_path, "/a")
    assert list(found.files) == ["/a/a", "/a/c"]
    assert [(one.name, one.size) for one in found.left_out] == [("/a/b", 900)]
    assert "1,000 bytes as base64" in found.left_out[0].why


def test_all_together_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "TOTAL_CHARS", 3000)
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(999))
    found = collect(tmp_path, "/a")
    assert list(found.files) == ["/a/a", "/a/b"]
    assert "/a/c (999 bytes): all artifacts together may have 3,000 bytes" in found.note()


def test_names_count_as_they_travel(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "TOTAL_CHARS", 3000)
    for letter in "abc":
        (tmp_path / (letter + "\x01" * 200)).touch()
    assert len(collect(tmp_path, "/a").files) == 2


def test_a_flood_of_files_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "MAX_ENTRIES", 50)
    for number in range(60):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/file").touch()
    found = collect(tmp_path, "/a")
    assert len(found.left_out) == 51
    assert "only 50 files are looked at" in found.left_out[0].why
    assert len(found.note().splitlines()) == 22


def test_a_flood_of_files_in_folders_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "MAX_ENTRIES", 50)
    for number in range(4):
        (tmp_path / f"{number}").mkdir()
        for file in range(40):
            (tmp_path / f"{number}/{file}").touch()
    found = collect(tmp_path, "/a")
    assert [one.name for one in found.left_out] == ["/a/0/", "/a/1/", "/a/2/", "/a/3/"]
    assert [int(one.why.split()[0]) for one in found.left_out] == [40, 10, 1, 1]
