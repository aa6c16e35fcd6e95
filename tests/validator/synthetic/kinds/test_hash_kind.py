"""The kind `hash`, solved by the script of the project's image."""

import base64
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

import validator.synthetic
from compute_horde import container_bounds
from compute_horde.hardware import ExecutorClass
from compute_horde.volumes import InlineVolume, first_unsafe_path
from tests.peers.miner import result, solved
from validator.synthetic.kinds.hash_kind import MAX_TARGETS, HashKind, HashParameters
from validator.synthetic.kinds.kind import BatchFacts, DeclaredExecutor, PreparedJob

SCRIPT = Path(validator.synthetic.__file__).parent / "image" / "solve.sh"
UUID = "00000000-0000-0000-0000-000000000001"
FACTS = BatchFacts("seed", "validator", 1)
EXECUTOR = DeclaredExecutor("5Miner", ExecutorClass.always_on__test, 0, "own")

TOOLS = ("cat", "mktemp", "rm", "sed", "sh", "sha256sum", "sha512sum", "tr")

# It answers like hashcat does with the options that the script uses, and refuses others.
HASHCAT = (
    f"#!{sys.executable}"
    + """
import argparse, hashlib, itertools, os, sys
for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
    assert os.access(os.environ[name], os.W_OK), name
parser = argparse.ArgumentParser(allow_abbrev=False)
for flag in ("--quiet", "--potfile-disable", "--increment"):
    parser.add_argument(flag, action="store_true", required=True)
for name in ("--session", "-m", "-a", "-w", "--outfile", "--outfile-format"):
    parser.add_argument(name, required=True)
parser.add_argument("hashes")
parser.add_argument("mask")
asked = parser.parse_args()
assert (asked.a, asked.outfile_format) == ("3", "1,2")
algorithm = {"1420": "sha256", "10820": "sha384", "1720": "sha512"}[asked.m]
wanted = [line.strip().split(":", 1) for line in open(asked.hashes)]
digits = len(asked.mask) // 2
assert asked.mask == "?d" * digits
found = 0
with open(asked.outfile, "w") as out:
    for length in range(1, digits + 1):
        for word in map("".join, itertools.product("0123456789", repeat=length)):
            for target, salt in wanted:
                if hashlib.new(algorithm, (salt + word).encode()).hexdigest() == target:
                    print(target, salt, word, sep=":", file=out)
                    found += 1
sys.exit(0 if found == len(wanted) else 1)
"""
)


async def job(**parameters: object) -> PreparedJob:
    kind = HashKind(HashParameters(**({"candidates": 30} | parameters)))
    (prepared,) = (await kind.prepare(FACTS, [EXECUTOR])).jobs
    return prepared


def early_lists(prepared: PreparedJob) -> bytes:
    """The file in the volume of a puzzle of version 2."""
    assert isinstance(prepared.volume, InlineVolume)
    packed = zipfile.ZipFile(io.BytesIO(base64.b64decode(prepared.volume.contents)))
    assert packed.namelist() == ["lists"]
    return packed.read("lists")


def run(prepared: PreparedJob, folder: Path) -> str:
    """The output of the script that runs in the container; `folder` may have a hashcat.

    The machine's own hashcat, if it has one, is not found.
    """
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))
    lists = folder / "lists"
    if prepared.volume:
        lists.write_bytes(early_lists(prepared))
    env = {"PATH": str(folder), "LISTS": str(lists)}
    command = [str(folder / "sh"), str(SCRIPT), *prepared.args]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("has_hashcat", [False, True])
async def test_the_script_of_the_image_solves_it(
    version: int, has_hashcat: bool, tmp_path: Path
) -> None:
    if has_hashcat:
        (tmp_path / "hashcat").write_text(HASHCAT)
        (tmp_path / "hashcat").chmod(0o755)
    prepared = await job(version=version, targets=2)
    stdout = run(prepared, tmp_path)
    kind = HashKind(HashParameters())
    verdict = kind.verify(prepared, result(UUID, stdout), 1.5)
    assert (verdict.points, verdict.reason, verdict.metrics) == (1, "right", {"seconds": 1.5})
    assert kind.verify(prepared, result(UUID, stdout[:-2]), 1.5).points == 0


async def test_a_hashcat_that_cannot_work_fails_the_job_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "hashcat").write_text("#!/bin/sh\necho 'No OpenCL found.'\nexit 255\n")
    (tmp_path / "hashcat").chmod(0o755)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(await job(), tmp_path)
    assert (failed.value.returncode, failed.value.stdout) == (1, "")
    assert "No OpenCL found." in failed.value.stderr


async def test_version_1_sends_everything_when_the_executor_is_ready() -> None:
    prepared = await job()
    assert (prepared.volume, prepared.limits.download) == (None, 0)
    assert solved(list(prepared.args)) == prepared.expected


async def test_version_2_sends_the_lists_early_and_the_key_late() -> None:
    prepared = await job(version=2)
    assert len(prepared.args) == 3
    assert prepared.args[1].startswith("5Miner-")
    lists = early_lists(prepared).decode()
    assert prepared.args[1] not in lists
    assert solved(list(prepared.args), lists.split()) == prepared.expected
    assert first_unsafe_path(prepared.volume) is None
    assert prepared.limits.download > 0


@pytest.mark.parametrize("version", [1, 2])
async def test_the_largest_puzzle_is_within_the_limits_of_containers(version: int) -> None:
    prepared = await job(
        version=version, targets=MAX_TARGETS, candidates=10**12, algorithms=["sha512"] * 8
    )
    assert container_bounds.excess(prepared.args, {}) is None


async def test_the_parameters_make_the_job() -> None:
    prepared = await job(image="other:1", seconds=7)
    assert (prepared.image, prepared.limits.execution, prepared.kind) == ("other:1", 7, "hash")


@pytest.mark.parametrize(
    "wrong", [{"version": 3}, {"candidates": 0}, {"algorithms": ["md5"]}, {"candidate": 1}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HashParameters(**wrong)


def single_list(*arguments: str) -> str:
    command = ["sh", str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_script_says_when_there_is_nothing_to_find() -> None:
    assert single_list("salt-", "3", "0" * 64) == "?\n"


async def test_what_the_class_promises_is_noted_with_the_time() -> None:
    prepared = await job()
    answer = result(UUID, prepared.expected)
    kinds = [HashKind(HashParameters(promised_seconds=given)) for given in (None, 2.5)]
    found = [kind.verify(prepared, answer, 1.5).metrics for kind in kinds]
    assert found == [{"seconds": 1.5}, {"seconds": 1.5, "promised": 2.5}]
