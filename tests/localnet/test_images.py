"""Images made on the spot, run by the engine."""

import subprocess

import pytest

from localnet import docker_engine, images

pytestmark = pytest.mark.docker


def docker(*words):
    return subprocess.run(["docker", *words], capture_output=True, text=True)


@pytest.fixture(scope="module", autouse=True)
def built():
    images.build()


def test_busybox_has_a_shell_and_its_tools():
    script = "echo hello | cat; id -u; test -w /tmp && sleep 0"
    done = docker("run", "--rm", "--network=none", images.BUSYBOX, "sh", "-c", script)
    assert (done.returncode, done.stdout) == (0, "hello\n0\n"), done.stderr


def test_noop_does_nothing_well():
    done = docker("run", "--rm", "--network=none", images.NOOP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_image_that_is_there_is_not_made_again():
    before = docker("image", "inspect", "--format", "{{.Created}}", images.NOOP).stdout
    images.build()
    assert docker("image", "inspect", "--format", "{{.Created}}", images.NOOP).stdout == before


def test_a_broken_archive_is_an_error(monkeypatch):
    monkeypatch.setattr(images, "_root", lambda busybox: b"no archive at all")
    with pytest.raises(images.NoImageError, match="computehorde/broken"):
        images._load("computehorde/broken", [], images.static_busybox())
    with docker_engine.client() as engine:
        assert not engine.get("/images/computehorde/broken:latest/json").is_success


def test_a_dynamic_busybox_is_not_taken(tmp_path):
    dynamic = tmp_path / "busybox"
    dynamic.write_bytes(b"\x7fELF" + b"\0" * 500 + b"/lib64/ld-linux-x86-64.so.2\0")
    assert not images._is_static(dynamic)
    assert images._is_static(images.static_busybox())
