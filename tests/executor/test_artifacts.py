"""Small plain files travel with the result; what does not is named."""

import base64
import os

import pytest

from executor import artifacts
from executor.artifacts import collect


def text(data):
    return base64.b64encode(data).decode()


def test_files_are_returned_by_their_path_in_the_container(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x")
    (tmp_path / "b").write_bytes(bytes(999_999))
    assert collect(tmp_path, "/artifacts/") == (
        {"/artifacts/a.txt": "eA==", "/artifacts/b": text(bytes(999_999))},
        [],
    )
    assert collect(tmp_path, "/artifacts").note() == ""


@pytest.mark.parametrize("artifacts_dir", [None, ""])
def test_a_job_without_artifacts_has_none(tmp_path, artifacts_dir):
    (tmp_path / "a.txt").write_bytes(b"x")
    assert collect(tmp_path, artifacts_dir) == ({}, [])


def test_what_is_left_out_is_named(tmp_path):
    (tmp_path / "big").write_bytes(bytes(1_000_000))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/inside").write_bytes(b"x")
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"x")
    found = collect(tmp_path, "/artifacts")
    assert found.files == {}
    note = found.note()
    assert "'big' has 1000000 bytes" in note
    assert "'folder' is not a regular file" in note
    assert "'link' is not a regular file" in note
    assert "'pipe' is not a regular file" in note
    assert "cannot be read" in note
    note.encode()


def test_all_together_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "TOTAL_CHARS", 3000)
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(999))
    found = collect(tmp_path, "/a")
    assert list(found.files) == ["/a/a", "/a/b"]
    assert "'c', all together are over 3000" in found.note()


def test_names_count_as_they_travel(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "TOTAL_CHARS", 3000)
    for letter in "abc":
        (tmp_path / (letter + "\x01" * 200)).touch()
    assert len(collect(tmp_path, "/a").files) == 2


def test_a_flood_of_files_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "MAX_ENTRIES", 50)
    for number in range(60):
        (tmp_path / f"{number}").mkdir()
    found = collect(tmp_path, "/a")
    assert len(found.left_out) == 51
    assert len(found.note().splitlines()) == 22
