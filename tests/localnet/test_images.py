"""The built images, run by the engine."""

import subprocess
from hashlib import sha256

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


def test_noop_succeeds_without_output():
    done = docker("run", "--rm", "--network=none", images.NOOP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_solver_finds_the_numbers_behind_hashes():
    wanted = [sha256(f"salt{number}".encode()).hexdigest() for number in (7, 3)]
    done = docker("run", "--rm", "--network=none", images.HASH, "salt", "10", *wanted, "00")
    assert (done.returncode, done.stdout) == (0, "7\n3\n?\n"), done.stderr


def test_a_changed_specification_makes_a_new_image(monkeypatch):
    name = "computehorde/changed"
    try:
        for word in ("one", "two"):
            images._build_image(
                name, images.ImageSpec((f'CMD ["echo", "{word}"]',)), images.static_busybox()
            )
            done = docker("run", "--rm", "--network=none", "-e", "PATH=/bin", name)
            assert done.stdout == f"{word}\n", done.stderr
    finally:
        docker("rmi", name)


def test_an_existing_image_is_not_built_again():
    before = docker("image", "inspect", "--format", "{{.Created}}", images.NOOP).stdout
    images.build()
    assert docker("image", "inspect", "--format", "{{.Created}}", images.NOOP).stdout == before


def test_a_broken_archive_is_an_error(monkeypatch):
    monkeypatch.setattr(images, "_busybox_root", lambda *parts: b"not an archive")
    spec = images.ImageSpec(())
    with pytest.raises(images.NoImageError, match="computehorde/broken"):
        images._build_image("computehorde/broken", spec, images.static_busybox())
    with docker_engine.client() as engine:
        assert not engine.get("/images/computehorde/broken:latest/json").is_success


def test_a_dynamic_busybox_is_not_used(tmp_path):
    dynamic = tmp_path / "busybox"
    dynamic.write_bytes(b"\x7fELF" + b"\0" * 500 + b"/lib64/ld-linux-x86-64.so.2\0")
    assert not images._is_static(dynamic)
    assert images._is_static(images.static_busybox())
