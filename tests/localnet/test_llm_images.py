"""The images of the kind `llm`, run by the engine with cold caches in a root of their own."""

import subprocess
from pathlib import Path

import pytest

from localnet import llm_images
from validator.llm.programs import solver
from validator.llm.programs.answer_file import digest, read_prompts

pytestmark = pytest.mark.docker


def docker(image: str, *args: str, volume: Path, output: Path) -> str:
    mounts = [f"--volume={volume}:/volume:ro", f"--volume={output}:/output"]
    run = ["docker", "run", "--rm", "--network=none", "--user=65534:65534", *mounts, image, *args]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_container_answers_as_a_warm_process_does(tmp_path: Path) -> None:
    llm_images.build()
    volume, output, ours = (tmp_path / name for name in ("volume", "output", "ours"))
    for folder in (volume, output, ours):
        folder.mkdir()
        folder.chmod(0o777)
    folders = {"volume": volume, "output": output}
    docker(llm_images.PROMPTS, "--uuids=a", "--number_of_prompts_per_batch=44", **folders)
    content = (output / "prompts_a.txt").read_bytes()
    assert len(read_prompts(content)) == 44
    (volume / "a.txt").write_bytes(content)
    printed = docker(llm_images.SOLVER, "--seed=9", "/volume/a.txt", **folders).strip()
    args = [str(volume / "a.txt"), "--seed=9", f"--output={ours}", f"--weights={ours}"]
    assert solver.main([*args, "--batch-size=1"]) == 0
    assert digest((ours / "a.json").read_bytes()) == printed
    assert (output / "a.json").read_bytes() == (ours / "a.json").read_bytes()
