"""The built images, run by the engine."""

import asyncio
import base64
import io
import subprocess
import zipfile
from hashlib import sha256

import pytest

from compute_horde.hardware import ExecutorClass
from localnet import docker_engine, images
from validator.synthetic.kinds.hash_kind import HashKind, HashParameters
from validator.synthetic.kinds.kind import BatchFacts, DeclaredExecutor

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


@pytest.mark.parametrize("version", [1, 2])
def test_the_solver_answers_chains_as_argument_and_as_volume(version, tmp_path):
    executor = DeclaredExecutor("5Miner", ExecutorClass.always_on__test, 0, "seed")
    kind = HashKind(HashParameters(version=version, candidates=30))
    (job,) = asyncio.run(kind.prepare(BatchFacts("seed", "us", 1), [executor])).jobs
    if job.volume:
        packed = base64.b64decode(job.volume.contents)
        zipfile.ZipFile(io.BytesIO(packed)).extractall(tmp_path)
    volume = ("-v", f"{tmp_path}:/volume:ro")
    done = docker("run", "--rm", "--network=none", "--read-only", *volume, images.HASH, *job.args)
    assert (done.returncode, done.stdout.strip()) == (0, job.expected), done.stderr


def test_the_image_of_synthetic_jobs_prints_what_it_is_given():
    done = docker("run", "--rm", "--network=none", images.HASH, "echo", "a text")
    assert (done.returncode, done.stdout) == (0, "a text\n"), done.stderr
