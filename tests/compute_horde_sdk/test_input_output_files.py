"""Local files are packed as zips; artifacts are written to the requested paths only."""

import base64
import io
import os
import zipfile

import pytest

from compute_horde_sdk import input_output_files
from compute_horde_sdk.input_output_files import MissingOutput, input_volumes, write_artifacts
from compute_horde_sdk.v1 import ComputeHordeError, HTTPInputVolume


def unpacked(volume):
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(volume.contents)))
    return {info.filename: archive.read(info) for info in archive.infolist()}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "run.sh").write_text("#!/bin/sh")
    (folder / "deep" / "run.sh").chmod(0o755)
    return folder


def test_a_folder_goes_in_as_one_volume(data):
    volumes = input_volumes([(str(data), "/volume/in")])
    assert list(volumes) == ["/volume/in"]
    assert unpacked(volumes["/volume/in"]) == {"a.txt": b"a", "deep/run.sh": b"#!/bin/sh"}


def test_programs_stay_programs(data):
    (volume,) = input_volumes([(str(data), "in")]).values()
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(volume.contents)))
    modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert modes == {"a.txt": 0o644, "deep/run.sh": 0o755}


def test_the_same_folder_gives_the_same_bytes(data):
    first = input_volumes([(str(data), "in")])
    os.utime(data / "a.txt", (1, 1))
    assert input_volumes([(str(data), "in")]) == first


@pytest.mark.parametrize(
    ("remote", "folder", "name"),
    [
        ("/volume/in/b.txt", "/volume/in", "b.txt"),
        ("/volume/in/", "/volume/in", "a.txt"),
        ("/volume/b.txt", "/volume/", "b.txt"),
        ("b.txt", "/volume/", "b.txt"),
        ("/volume/", "/volume/", "a.txt"),
    ],
)
def test_a_file_goes_where_it_is_said(data, remote, folder, name):
    volumes = input_volumes([(str(data / "a.txt"), remote)])
    assert {path: unpacked(volume) for path, volume in volumes.items()} == {folder: {name: b"a"}}


def test_several_files_share_a_folder(data):
    volumes = input_volumes([(str(data / "a.txt"), "x/one"), (str(data / "deep/run.sh"), "x/two")])
    assert unpacked(volumes["/volume/x"]) == {"one": b"a", "two": b"#!/bin/sh"}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("local", ["a.txt", "https://x.example/a"])
def test_a_file_where_another_input_needs_a_folder_is_refused(data, local, order):
    first = local if local.startswith("https") else str(data / local)
    inputs = [(first, "x"), (str(data / "deep"), "x/folder")][::order]
    with pytest.raises(ValueError, match=r"goes to /volume/x/folder/.*, but /volume/x is a file"):
        input_volumes(inputs)


def test_two_urls_in_one_place_are_refused():
    with pytest.raises(ValueError, match=r"'https://a\.example/x' and 'https://b.example/x'"):
        input_volumes([("https://a.example/x", "in/"), ("https://b.example/x", "in/x")])


def test_two_files_in_one_place_are_refused(data):
    with pytest.raises(ValueError, match="two inputs go to /volume/x/one"):
        input_volumes([(str(data / "a.txt"), "x/one"), (str(data / "deep/run.sh"), "x/one")])


@pytest.mark.parametrize("remote", ["in/m.bin", "/volume/in/"])
def test_a_url_is_fetched_by_the_machine(remote):
    assert input_volumes([("https://x.example/m.bin?a=1", remote)]) == {
        "/volume/in/m.bin": HTTPInputVolume(url="https://x.example/m.bin?a=1")
    }


@pytest.mark.parametrize("remote", ["/etc/passwd", "../x", "/volume/../x", "/volume/a/../../x"])
def test_inputs_stay_below_their_mount(data, remote):
    with pytest.raises(ValueError, match="below /volume/"):
        input_volumes([(str(data), remote)])


def test_what_is_not_there_is_named():
    with pytest.raises(ComputeHordeError, match="no-such-file"):
        input_volumes([("no-such-file", "x")])


def test_inputs_that_cannot_travel_are_refused_with_the_largest(data):
    (data / "big.bin").write_bytes(os.urandom(900_000))
    with pytest.raises(ComputeHordeError, match=r"(?s)behind a URL.*900,000 .*big\.bin\n.*a\.txt"):
        input_volumes([(str(data), "in")])


def test_what_packs_small_travels(data):
    (data / "zeros").write_bytes(bytes(5_000_000))
    (volume,) = input_volumes([(str(data), "in")]).values()
    assert len(volume.contents) < 20_000


def test_nothing_huge_is_even_read(data, monkeypatch):
    monkeypatch.setattr(input_output_files, "_zip", None)
    with (data / "sparse").open("wb") as file:
        file.truncate(input_output_files.MAX_RAW_BYTES + 1)
    with pytest.raises(ComputeHordeError, match="sparse"):
        input_volumes([(str(data), "in")])


def test_a_named_artifact_becomes_a_file(tmp_path):
    target = tmp_path / "new" / "out.bin"
    assert write_artifacts({"/a/x": b"1", "/a/y": b"2"}, {"x": str(target)}, "/a") == [target]
    assert target.read_bytes() == b"1"
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("local", ["there", "new/"])
def test_a_named_artifact_goes_into_a_folder(tmp_path, local):
    (tmp_path / "there").mkdir()
    (target,) = write_artifacts({"/a/x": b"1"}, {"/a/x": f"{tmp_path}/{local}"}, "/a")
    assert target == tmp_path / local / "x"


@pytest.mark.parametrize("remote", [".", "/a", "/a/"])
def test_all_artifacts_go_into_a_folder(tmp_path, remote):
    write_artifacts(
        {"/a/x": b"1", "/a/deep/y": b"2", "/ab/z": b"3"}, {remote: str(tmp_path / "o")}, "/a"
    )
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"o/x", "o/deep/y"}


def test_what_was_not_left_is_told_with_what_was(tmp_path):
    with pytest.raises(MissingOutput, match=r"no '/a/x'; it left '/a/y'"):
        write_artifacts({"/a/y": b""}, {"x": str(tmp_path / "x")}, "/a")


@pytest.mark.parametrize(
    "path",
    [
        "/a/../../evil",
        "/a/..",
        "/a//etc/evil",
        "/a/./evil",
        "/a/x/../../../evil",
        "/a/link/evil",
        "/a/b\\..\\evil",
        "/a/nul\0",
        "/a/" + "n" * 256,
        "/a/dir/",
    ],
)
def test_nothing_is_written_outside_the_target(tmp_path, path):
    target = tmp_path / "in" / "target"
    target.mkdir(parents=True)
    (target / "link").symlink_to(tmp_path)
    with pytest.raises(ComputeHordeError):
        write_artifacts({path: b"evil"}, {".": str(target)}, "/a")
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "target", "link"]


def test_a_link_at_the_target_is_replaced_not_followed(tmp_path):
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "x").symlink_to(tmp_path / "precious")
    write_artifacts({"/a/x": b"new"}, {".": str(tmp_path / "o")}, "/a")
    assert (tmp_path / "precious").read_text() == "keep"
    assert (tmp_path / "o" / "x").read_bytes() == b"new"


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "x" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        input_output_files._write(tmp_path / "x", b"1")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
